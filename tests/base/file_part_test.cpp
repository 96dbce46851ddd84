#include "polariscope/base/file_part.h"

#include "polariscope/base/files.h"
#include "support/complaint.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>

namespace polariscope::testing {
namespace {

TEST(ReadPart, GivesWhatIsThereOfIt) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "file";
  write_file(path, "0123456789");
  EXPECT_EQ(read_part(path, 3, 4), "3456");
  EXPECT_EQ(read_part(path, 8, 100), "89");
  EXPECT_EQ(read_part(path, 10, 1), "");
  EXPECT_EQ(read_part(path, std::uint64_t{1} << 40, 1), "");
  EXPECT_EQ(read_part(path, 0, 0), "");
}

TEST(ReadPart, RefusesAFileThatCannotBeRead) {
  const TemporaryFolder folder;
  EXPECT_NE(complaint_of([&] { read_part(folder.path() / "none", 0, 1); }).find("cannot be read"), std::string::npos);
  EXPECT_NE(complaint_of([&] { read_part(folder.path(), 0, 1); }).find("cannot be read"), std::string::npos);
}

}  // namespace
}  // namespace polariscope::testing
