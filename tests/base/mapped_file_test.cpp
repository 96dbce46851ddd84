#include "polariscope/base/mapped_file.h"

#include "polariscope/base/files.h"
#include "support/complaint.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <optional>
#include <string>

namespace polariscope {
namespace {

using testing::complaint_of;
using testing::TemporaryFolder;

TEST(MappedFile, HasTheBytesOfTheFile) {
  const TemporaryFolder folder;
  const std::string bytes("a\0b\xff", 4);
  write_file(folder.path() / "x", bytes);
  write_file(folder.path() / "empty", "");
  EXPECT_EQ(MappedFile(folder.path() / "x").bytes(), bytes);
  EXPECT_EQ(MappedFile(folder.path() / "empty").bytes(), "");
}

TEST(MappedFile, KeepsTheContentsOfAFileThatIsReplaced) {
  const TemporaryFolder folder;
  write_file(folder.path() / "x", "old");
  std::optional<MappedFile> first(folder.path() / "x");
  const MappedFile copy = *first;
  write_file(folder.path() / "x", "new");
  first.reset();
  EXPECT_EQ(copy.bytes(), "old");
}

TEST(MappedFile, RefusesWhatIsAbsentOrNoOrdinaryFile) {
  const TemporaryFolder folder;
  const auto complaint = [](const auto& path) { return complaint_of([&] { MappedFile{path}; }); };
  EXPECT_NE(complaint(folder.path() / "none").find("No such file or directory"), std::string::npos);
  EXPECT_NE(complaint(folder.path()).find("is a folder, pipe or device"), std::string::npos);
  ASSERT_EQ(mkfifo((folder.path() / "pipe").c_str(), 0600), 0);
  EXPECT_NE(complaint(folder.path() / "pipe").find("is a folder, pipe or device"), std::string::npos);
}

}  // namespace
}  // namespace polariscope
