// Every file of the corpora, through the functions that the fuzzer calls: what was once found stays found.
#include "polariscope/base/files.h"
#include "targets.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace polariscope::testing {
namespace {

TEST(FuzzCorpus, IsReadOrRefused) {
  for (const FuzzTarget& target : fuzz_targets()) {
    const auto folder = std::filesystem::path(POLARISCOPE_SOURCE_DIR) / "tests/fuzz/corpus" / target.name;
    int read = 0, refused = 0;
    for (const auto& file : std::filesystem::directory_iterator(folder)) {
      SCOPED_TRACE(file.path().string());
      bool was_read = false;
      EXPECT_NO_THROW(was_read = target.read(read_file(file.path())));
      ++(was_read ? read : refused);
    }
    EXPECT_GT(read, 0) << target.name << ": no file of its corpus is whole";
    EXPECT_GT(refused, 0) << target.name << ": no file of its corpus is damaged";
  }
}

}  // namespace
}  // namespace polariscope::testing
