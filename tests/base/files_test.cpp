#include "polariscope/base/files.h"

#include "polariscope/base/error.h"
#include "polariscope/base/parallel.h"
#include "support/small_disk.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>

namespace polariscope {
namespace {

using testing::entries;
using testing::SmallDisk;
using testing::TemporaryFolder;

// The sentence of the Error that `action` throws; "" if it throws none.
template <class Action>
std::string error_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// Root may write everywhere, so a test of permissions gives that right up for its time.
class OrdinaryUser {
 public:
  OrdinaryUser() : changed_(geteuid() == 0 && seteuid(65534) == 0) {}
  ~OrdinaryUser() {
    if (changed_ && seteuid(0) != 0) std::abort();
  }
  OrdinaryUser(const OrdinaryUser&) = delete;
  OrdinaryUser& operator=(const OrdinaryUser&) = delete;

  // Why this process may still write everywhere, for GTEST_SKIP; "" if it is ordinary now.
  std::string unavailable() const { return geteuid() == 0 ? "root cannot become an ordinary user here" : ""; }

 private:
  bool changed_;
};

// Files of this process can grow to `bytes` only, as on a disk that fills up in the middle of a write.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit limit = {bytes, old_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &old_);
    signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit old_{};
  void (*handler_)(int);
};

TEST(WriteFile, MakesAFileWithExactlyTheGivenBytes) {
  const TemporaryFolder folder;
  const std::string bytes("a\0b\r\n\xff", 6);
  write_file(folder.path() / "x", bytes);
  EXPECT_EQ(read_file(folder.path() / "x"), bytes);
  EXPECT_EQ(entries(folder.path()), 1);
}

TEST(WriteFile, ReplacesAnOlderFile) {
  const TemporaryFolder folder;
  write_file(folder.path() / "x", "a longer text than the next");
  write_file(folder.path() / "x", "short");
  EXPECT_EQ(read_file(folder.path() / "x"), "short");
  EXPECT_EQ(entries(folder.path()), 1);
}

TEST(WriteFile, LeavesDevicesAndPipesAloneAndFollowsLinks) {
  const TemporaryFolder folder;
  ASSERT_EQ(mkfifo((folder.path() / "pipe").c_str(), 0600), 0);
  EXPECT_THROW(write_file(folder.path() / "pipe", "x"), Error);
  EXPECT_TRUE(std::filesystem::is_fifo(folder.path() / "pipe"));
  EXPECT_THROW(write_file("/dev/null", "x"), Error);
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
  write_file(folder.path() / "file", "old");
  std::filesystem::create_symlink("file", folder.path() / "link");
  write_file(folder.path() / "link", "new");
  EXPECT_TRUE(std::filesystem::is_symlink(folder.path() / "link"));
  EXPECT_EQ(read_file(folder.path() / "file"), "new");
}

TEST(WriteFile, WritesEmptyAndLargeFiles) {
  const TemporaryFolder folder;
  write_file(folder.path() / "empty", "");
  EXPECT_EQ(read_file(folder.path() / "empty"), "");
  const std::string large(3'000'001, 'x');
  write_file(folder.path() / "large", large);
  EXPECT_EQ(read_file(folder.path() / "large"), large);
}

TEST(WriteFile, WritesPiecesOneAfterTheOther) {
  const TemporaryFolder folder;
  const std::array<std::string_view, 3> pieces = {"ab", "", "c"};
  write_file(folder.path() / "x", pieces);
  EXPECT_EQ(read_file(folder.path() / "x"), "abc");
  EXPECT_EQ(entries(folder.path()), 1);
}

TEST(WriteFile, GivesTheFileThePermissionsOfTheUsersMask) {
  const TemporaryFolder folder;
  const mode_t old = umask(027);
  write_file(folder.path() / "x", "");
  umask(old);
  using std::filesystem::perms;
  EXPECT_EQ(std::filesystem::status(folder.path() / "x").permissions(),
            perms::owner_read | perms::owner_write | perms::group_read);
}

TEST(WriteFile, KeepsTheOldFileWhenTheDiskIsFull) {
  const SmallDisk disk(64);
  if (!disk.unavailable().empty()) GTEST_SKIP() << disk.unavailable();
  write_file(disk.path() / "x", "old");
  const std::string error = error_of([&] { write_file(disk.path() / "x", std::string(200'000, 'n')); });
  EXPECT_NE(error.find("No space left on device"), std::string::npos) << error;
  EXPECT_NE(error.find((disk.path() / "x").string()), std::string::npos) << error;
  EXPECT_EQ(read_file(disk.path() / "x"), "old");
  EXPECT_EQ(entries(disk.path()), 1) << "the temporary file was left behind";
}

TEST(WriteFile, KeepsTheOldFileWhenAWriteFailsHalfWay) {
  const TemporaryFolder folder;
  write_file(folder.path() / "x", "old");
  std::string error;
  {
    const FileSizeLimit limit(100'000);
    error = error_of([&] { write_file(folder.path() / "x", std::string(200'000, 'n')); });
  }
  EXPECT_NE(error.find("File too large"), std::string::npos) << error;
  EXPECT_EQ(read_file(folder.path() / "x"), "old");
  EXPECT_EQ(entries(folder.path()), 1) << "the temporary file was left behind";
}

TEST(WriteFile, RefusesAReadOnlyDiskWithTheSystemsReason) {
  SmallDisk disk(64);
  if (!disk.unavailable().empty()) GTEST_SKIP() << disk.unavailable();
  disk.make_read_only();
  const std::string error = error_of([&] { write_file(disk.path() / "x", "new"); });
  EXPECT_NE(error.find("Read-only file system"), std::string::npos) << error;
}

TEST(WriteFile, RefusesAFolderWithoutPermission) {
  const TemporaryFolder folder;
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0555));
  const OrdinaryUser user;
  if (!user.unavailable().empty()) GTEST_SKIP() << user.unavailable();
  const std::string error = error_of([&] { write_file(folder.path() / "x", "new"); });
  EXPECT_NE(error.find("Permission denied"), std::string::npos) << error;
  EXPECT_EQ(entries(folder.path()), 0);
}

TEST(WriteFile, RefusesANameThatIsAFolderAndLeavesNoTemporaryFile) {
  const TemporaryFolder folder;
  make_folder(folder.path() / "x");
  const std::string error = error_of([&] { write_file(folder.path() / "x", "new"); });
  EXPECT_NE(error.find("Is a directory"), std::string::npos) << error;
  EXPECT_EQ(entries(folder.path()), 1);
}

TEST(WriteFile, ReadersSeeAWholeFileWhileManyThreadsWriteIt) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "x";
  write_file(path, std::string(10'000, 'a'));
  parallel_for(60, 4, [&](std::int64_t i) {
    if (i % 2 == 0) {
      write_file(path, std::string(10'000, static_cast<char>('a' + i % 26)));
    } else {
      const std::string seen = read_file(path);
      if (seen != std::string(10'000, seen.at(0))) throw Error("item {} saw a file of two writers", i);
    }
  });
  EXPECT_EQ(entries(folder.path()), 1);
}

// A process in the middle of writing 200 000 bytes to `path`, stopped there until it is killed.
class StoppedWriter {
 public:
  explicit StoppedWriter(const std::filesystem::path& path) : process_(fork()) {
    if (process_ == 0) {
      const FileSizeLimit limit(100'000);
      signal(SIGXFSZ, [](int) { raise(SIGSTOP); });
      write_file(path, std::string(200'000, 'n'));
      _exit(1);
    }
    int status = 0;
    waitpid(process_, &status, WUNTRACED);
    stopped_ = WIFSTOPPED(status);
  }
  ~StoppedWriter() {
    kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
  }
  StoppedWriter(const StoppedWriter&) = delete;
  StoppedWriter& operator=(const StoppedWriter&) = delete;

  bool stopped() const { return stopped_; }

 private:
  pid_t process_;
  bool stopped_ = false;
};

TEST(WriteFile, RemovesWhatAKilledWriterLeftButNotWhatALivingOneHolds) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "x";
  {
    const StoppedWriter writer(path);
    ASSERT_TRUE(writer.stopped());
    write_file(path, "new");
    EXPECT_EQ(entries(folder.path()), 2) << "the living writer's temporary file was removed";
  }
  EXPECT_EQ(entries(folder.path()), 2) << "the killed writer left nothing: this test tests nothing";
  write_file(folder.path() / "y", "another file");
  EXPECT_EQ(entries(folder.path()), 3);
  write_file(path, "newer");
  EXPECT_EQ(entries(folder.path()), 2);
  EXPECT_EQ(read_file(path), "newer");
}

TEST(RemoveLeftBehind, TakesTemporaryFilesOfTheDeadAndNothingElse) {
  const TemporaryFolder folder;
  make_folder(folder.path() / "below");
  const auto path = folder.path() / "below" / "x";
  for (const char* name : {".notes.tmp", "x.1.2.tmp", ".x.1.tmp", ".x.1.2"}) write_file(folder.path() / name, "mine");
  {
    const StoppedWriter writer(path);
    ASSERT_TRUE(writer.stopped());
    remove_left_behind(folder.path());
    EXPECT_EQ(entries(folder.path() / "below"), 1);
  }
  EXPECT_EQ(entries(folder.path() / "below"), 1);
  remove_left_behind(folder.path());
  EXPECT_EQ(entries(folder.path() / "below"), 0);
  EXPECT_EQ(entries(folder.path()), 5);
  remove_left_behind(folder.path() / "absent");
}

TEST(ReadFile, SaysWhyAFileCannotBeRead) {
  const TemporaryFolder folder;
  const std::string missing = error_of([&] { read_file(folder.path() / "none"); });
  EXPECT_NE(missing.find("No such file or directory"), std::string::npos) << missing;
  const std::string is_folder = error_of([&] { read_file(folder.path()); });
  EXPECT_NE(is_folder.find("Is a directory"), std::string::npos) << is_folder;
}

TEST(MakeFolder, MakesAllParentsAndAcceptsAnExistingFolder) {
  const TemporaryFolder folder;
  make_folder(folder.path() / "a/b/c");
  make_folder(folder.path() / "a/b/c");
  EXPECT_TRUE(std::filesystem::is_directory(folder.path() / "a/b/c"));
}

TEST(MakeFolder, RefusesAPathThroughAFile) {
  const TemporaryFolder folder;
  write_file(folder.path() / "x", "");
  const std::string error = error_of([&] { make_folder(folder.path() / "x" / "y"); });
  EXPECT_NE(error.find("Not a directory"), std::string::npos) << error;
  EXPECT_NE(error_of([&] { make_folder(folder.path() / "x"); }), "");
}

TEST(MakeFolder, RefusesAnExistingFolderThatCannotBeWritten) {
  const TemporaryFolder folder;
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0555));
  const OrdinaryUser user;
  if (!user.unavailable().empty()) GTEST_SKIP() << user.unavailable();
  const std::string error = error_of([&] { make_folder(folder.path()); });
  EXPECT_NE(error.find("Permission denied"), std::string::npos) << error;
}

TEST(MakeFolder, RefusesAReadOnlyDisk) {
  SmallDisk disk(64);
  if (!disk.unavailable().empty()) GTEST_SKIP() << disk.unavailable();
  disk.make_read_only();
  const std::string error = error_of([&] { make_folder(disk.path()); });
  EXPECT_NE(error.find("Read-only file system"), std::string::npos) << error;
}

}  // namespace
}  // namespace polariscope
