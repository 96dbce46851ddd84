// Small runs leave the bits that they were recorded with: what a change of the code's structure must not touch.
#include "command.h"
#include "polariscope/base/fingerprint.h"
#include "support/temporary_folder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <sstream>

namespace polariscope::testing {
namespace {

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream stream(line);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

TEST(RecordedRuns, LeaveTheSameBits) {
#if !defined(__GNUC__) || defined(__clang__)
  GTEST_SKIP() << "recorded with GCC";
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "recorded without sanitizers, whose builds give other bits";
#endif
  const auto recorded = nlohmann::json::parse(
      bytes_of(std::filesystem::path(POLARISCOPE_SOURCE_DIR) / "tests/golden/recorded_runs.json"));
  Surroundings forced;
  forced.environment = {"POLARISCOPE_FORCE_TARGET=" + recorded.at("target").get<std::string>()};
  if (polariscope_run({"flow", "--steps", "1"}, forced).code != 0) {
    GTEST_SKIP() << forced.environment[0] << " is not to be had on this processor";
  }
  for (const auto& run : recorded.at("runs")) {
    const TemporaryFolder folder;
    const auto line = run.at("arguments").get<std::string>();
    std::vector<std::string> arguments = words_of(line);
    arguments.insert(arguments.end(), {"--out", (folder.path() / "run").string()});
    const Outcome outcome = polariscope_run(arguments, forced);
    ASSERT_EQ(outcome.code, 0) << line << "\n" << outcome.err;
    for (const auto& [file, bits] : run.at("files").items()) {
      EXPECT_EQ(fmt::format("{:016x}", fingerprint(bytes_of(folder.path() / "run" / file))), bits)
          << line << ": " << file;
    }
  }
}

}  // namespace
}  // namespace polariscope::testing
