// One run, one folder, one process at a time.
#include "polariscope/runs/run_folder.h"

#include "polariscope/base/files.h"
#include "support/complaint.h"
#include "support/temporary_folder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <optional>

namespace polariscope::testing {
namespace {

namespace fs = std::filesystem;

// Another process that holds the folder until it is killed.
class Holder {
 public:
  Holder(const fs::path& folder, const std::string& config) {
    int told[2];
    if (pipe(told) != 0) throw std::runtime_error("no pipe");
    process_ = fork();
    if (process_ == 0) {
      const runs::RunFolder held(folder, config);
      if (write(told[1], "x", 1) != 1) _exit(1);
      for (;;) pause();
    }
    char byte = 0;
    close(told[1]);
    if (read(told[0], &byte, 1) != 1) throw std::runtime_error("the other process does not hold the folder");
    close(told[0]);
  }
  ~Holder() {
    if (process_ > 0) end();
  }
  void end() {
    kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
    process_ = -1;
  }
  pid_t process() const { return process_; }

 private:
  pid_t process_ = -1;
};

TEST(RunFolderTest, IsHeldByOneProcessWhichTheNextIsTold) {
  const TemporaryFolder parent;
  const fs::path folder = parent.path() / "run";
  Holder holder(folder, "seed = 1\n");
  const std::string complaint = complaint_of([&] { runs::RunFolder(folder, "seed = 1\n"); });
  for (const std::string& word : {folder.string() + ": ", fmt::format("process {} on ", holder.process()),
                                  std::string("is at work on this run"), std::string("stop it first")}) {
    EXPECT_NE(complaint.find(word), std::string::npos) << complaint;
  }
  EXPECT_EQ(complaint_of([&] { const runs::RunFolder again(folder); }), complaint);
}

TEST(RunFolderTest, IsFreeOnceItsProcessIsKilled) {
  const TemporaryFolder parent;
  const fs::path folder = parent.path() / "run";
  Holder holder(folder, "seed = 1\n");
  holder.end();
  EXPECT_EQ(complaint_of([&] { const runs::RunFolder next(folder, "seed = 1\n"); }), "");
}

TEST(RunFolderTest, IsHeldWithinOneProcessToo) {
  const TemporaryFolder parent;
  std::optional<runs::RunFolder> held;
  held.emplace(parent.path() / "run", "seed = 1\n");
  EXPECT_NE(complaint_of([&] { const runs::RunFolder second(held->path()); }), "");
  held.reset();
  EXPECT_EQ(complaint_of([&] { const runs::RunFolder second(parent.path() / "run"); }), "");
}

TEST(RunFolderTest, HoldsItsConfigAloneOnceItIsLetGo) {
  const TemporaryFolder parent;
  const fs::path folder = parent.path() / "run";
  { const runs::RunFolder held(folder, "seed = 1\n"); }
  EXPECT_EQ(entries(folder), 1);
  EXPECT_EQ(read_file(folder / "config.toml"), "seed = 1\n");
}

TEST(RunFolderTest, OfAnotherRunIsRefusedWithoutALockInIt) {
  const TemporaryFolder parent;
  const fs::path folder = parent.path() / "run";
  { const runs::RunFolder held(folder, "seed = 1\n"); }
  EXPECT_EQ(complaint_of([&] { const runs::RunFolder other(folder, "seed = 2\n"); }),
            folder.string() +
                " holds another run: its config.toml says \"seed = 1\" where this run has \"seed = 2\"; "
                "choose another folder");
  EXPECT_EQ(entries(folder), 1);
  write_file(parent.path() / "photos", "miaow");
  EXPECT_EQ(complaint_of([&] { const runs::RunFolder other(parent.path(), "seed = 2\n"); }),
            parent.path().string() + " is not empty and holds no run of Polariscope: choose another folder");
  EXPECT_EQ(entries(parent.path()), 2);
}

}  // namespace
}  // namespace polariscope::testing
