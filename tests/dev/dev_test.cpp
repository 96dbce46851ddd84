// The script ./dev where it needs to install and build nothing.
#include "polariscope/base/files.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <filesystem>
#include <string>

namespace polariscope::testing {
namespace {

struct Outcome {
  int exit_code;
  std::string output;
};

// Runs `environment ./dev arguments`, whatever the tests were started with; the output is both of its streams.
Outcome dev(const std::string& arguments, const std::string& environment = "") {
  const std::string command =
      "unset POLARISCOPE_SKIP_SETUP; " + environment + " '" + POLARISCOPE_SOURCE_DIR + "/dev' " + arguments + " 2>&1";
  std::FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return {-1, "popen failed"};
  std::string output;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) output += static_cast<char>(c);
  const int status = pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, output};
}

TEST(Dev, ListsItsCommandsWhenAskedForNothing) {
  const Outcome outcome = dev("");
  EXPECT_EQ(outcome.exit_code, 0);
  for (const char* command : {"reproduce", "setup", "build", "test", "bench", "lint", "format", "sanitize", "fuzz"}) {
    EXPECT_NE(outcome.output.find(std::string("\n  ") + command), std::string::npos) << command;
  }
  EXPECT_EQ(dev("help").output, outcome.output);
}

TEST(Dev, RefusesAnUnknownCommandSetOfPackagesAndBenchmark) {
  for (const char* arguments : {"bild", "setup everything", "bench nothing", "fuzz nothing"}) {
    const Outcome outcome = dev(arguments);
    EXPECT_EQ(outcome.exit_code, 2) << arguments;
    EXPECT_NE(outcome.output.find("unknown"), std::string::npos) << outcome.output;
  }
}

TEST(Dev, NamesThePackagesWhereThereIsNoApt) {
  const TemporaryFolder folder;  // of the few programs that the script needs up to there, and no apt-get
  for (const char* name : {"bash", "env", "dirname", "nproc"}) {
    std::filesystem::create_symlink(std::filesystem::path("/usr/bin") / name, folder.path() / name);
  }
  const Outcome outcome = dev("setup test", "PATH='" + folder.path().string() + "'");
  EXPECT_EQ(outcome.exit_code, 2);
  for (const char* package : {"libsundials-dev", "librandom123-dev", "libgtest-dev"}) {
    EXPECT_NE(outcome.output.find(package), std::string::npos) << outcome.output;
  }
}

TEST(Dev, WaitsForALockOfThePackageSystemAndSaysSo) {
  const TemporaryFolder folder;  // in front of the real programs
  const auto pretend = [&](const char* name, const std::string& script) {
    const std::filesystem::path path = folder.path() / name;
    write_file(path, "#!/bin/sh\n" + script + "\n");
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  };
  const std::string calls = "'" + (folder.path() / "calls").string() + "'";
  pretend("apt-get", "echo called >>" + calls + "; [ $(wc -l <" + calls +
                         ") -ge 3 ] || { echo 'E: Could not get lock /var/lib/dpkg/lock-frontend' >&2; exit 100; }");
  pretend("dpkg-query", "exit 1");
  pretend("sudo", "exec \"$@\"");
  pretend("sleep", "");
  pretend("npm", "");
  const Outcome outcome = dev("setup build", "PATH='" + folder.path().string() + "':\"$PATH\"");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
  EXPECT_NE(outcome.output.find("waiting for it"), std::string::npos) << outcome.output;
  EXPECT_EQ(read_file(folder.path() / "calls"), "called\ncalled\ncalled\n");
}

}  // namespace
}  // namespace polariscope::testing
