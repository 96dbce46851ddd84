// A folder that is there as a whole or not at all.
#include "polariscope/base/whole_folder.h"

#include "polariscope/base/files.h"
#include "polariscope/base/output_file.h"
#include "support/complaint.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>

namespace polariscope {
namespace {

using testing::complaint_of;
using testing::entries;
using testing::TemporaryFolder;

void make(const std::filesystem::path& wanted, const std::string& contents) {
  WholeFolder folder(wanted);
  OutputFile file(folder.path() / "file");
  file.write(contents);
  file.sync();
  EXPECT_FALSE(std::filesystem::exists(wanted / "file") && read_file(wanted / "file") == contents);
  folder.put_in_place();
}

TEST(WholeFolder, TakesThePlaceOfWhatWasThere) {
  const TemporaryFolder folder;
  const auto wanted = folder.path() / "new" / "tokens";
  make(wanted, "first");
  EXPECT_EQ(read_file(wanted / "file"), "first");
  write_file(wanted / "other", "of the first");
  make(wanted / "", "second");
  EXPECT_EQ(read_file(wanted / "file"), "second");
  EXPECT_EQ(entries(wanted), 1);
  EXPECT_EQ(entries(wanted.parent_path()), 1);
  std::filesystem::create_directory_symlink(wanted, folder.path() / "link");
  make(folder.path() / "link", "third");
  EXPECT_TRUE(std::filesystem::is_symlink(folder.path() / "link"));
  EXPECT_EQ(read_file(wanted / "file"), "third");
}

TEST(WholeFolder, LeavesNothingWhereItIsNotFinished) {
  const TemporaryFolder folder;
  const auto wanted = folder.path() / "tokens";
  make(wanted, "first");
  try {
    WholeFolder unfinished(wanted);
    write_file(unfinished.path() / "file", "second");
    throw std::runtime_error("on the way");
  } catch (const std::runtime_error&) {
  }
  EXPECT_EQ(read_file(wanted / "file"), "first");
  EXPECT_EQ(entries(folder.path()), 1);
}

TEST(WholeFolder, RemovesWhatAKilledProcessLeftButNotWhatALivingOneMakes) {
  const TemporaryFolder folder;
  const auto wanted = folder.path() / "tokens";
  const pid_t child = fork();
  if (child == 0) {
    const WholeFolder left(wanted);
    write_file(left.path() / "file", "part");
    _exit(0);  // as killed: nothing is destroyed
  }
  waitpid(child, nullptr, 0);
  EXPECT_EQ(entries(folder.path()), 1);
  const WholeFolder living(wanted);
  EXPECT_EQ(entries(folder.path()), 1);
  make(wanted, "whole");
  EXPECT_TRUE(std::filesystem::exists(living.path()));
}

TEST(WholeFolder, APlaceThatIsNoFolderIsNamed) {
  const TemporaryFolder folder;
  write_file(folder.path() / "file", "");
  EXPECT_NE(complaint_of([&] { const WholeFolder made(folder.path() / "file" / "tokens"); }).find("file"),
            std::string::npos);
}

}  // namespace
}  // namespace polariscope
