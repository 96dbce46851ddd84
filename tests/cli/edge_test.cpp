// polariscope edge from the command line, with trainings of attention alone.
#include "command.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <csignal>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace polariscope::testing {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

// Softmax with SGD collapses between a rate of 0.1 and 6.4 within 200 steps.
Words edge(const fs::path& out, const Words& more = {}) {
  Words words{"edge",
              "--task",
              "in-context-regression",
              "--batch",
              "64",
              "--steps",
              "200",
              "--seeds",
              "1",
              "--learning-rate",
              "0.1",
              "--within",
              "4",
              "--jobs",
              "1",
              "--out",
              out.string()};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

nlohmann::json found(const fs::path& out) { return nlohmann::json::parse(bytes_of(out / "edge.json")); }

TEST(EdgeCommand, RefusesMistakesInOneSentence) {
  const auto refused = [](const Words& more, const Words& expected) { expect_refused(edge("x", more), expected); };
  refused({"--vary", "attention"}, {"--vary is \"attention\"", "NAME=VALUE"});
  refused({"--vary", "atention=sink"}, {"unknown option \"atention\"", "\"attention\""});
  refused({"--vary", "attention=sofmax"}, {"--vary attention", "sofmax", "\"softmax\""});
  refused({"--vary", "qk-norm=layer,"}, {"--vary qk_norm", "layer, rms"});
  refused({"--vary", "soft_cap=30"}, {"--vary soft_cap", "no meaning for in-context-regression"});
  refused({"--vary", "learning_rate=1"}, {"--vary learning_rate", "learning rates"});
  refused({"--vary", "seed=1"}, {"--vary seed", "--seeds"});
  refused({"--vary", "qk_norm=layer", "--vary", "qk_norm=layer"}, {"qk_norm=layer", "same training"});
  refused({"--heads", "2"}, {"--heads has no meaning for in-context-regression"});
  refused({"--entropy", "2"}, {"--entropy is 2", "from 0 to 1"});
  refused({"--threads", "0"}, {"--threads is 0"});
  refused({"--limit", "0"}, {"--limit is 0"});
  expect_refused({"edge", "--task", "in-context-regression"}, {"edge needs --out"});
  expect_refused({"edge", "--within", "1", "--task", "in-context-regression", "--out", "x"}, {"--within is 1"});
  expect_refused({"edge", "--seeds", "0", "--task", "in-context-regression", "--out", "x"}, {"--seeds is 0"});
  expect_refused({"edge", "--learning-rate", "1e20", "--task", "in-context-regression", "--out", "x"},
                 {"--learning-rate is 1e+20"});
}

TEST(EdgeCommand, FindsTheEdgeOfATrainingAndOfItsVariant) {
  const TemporaryFolder folder;
  const fs::path out = folder.path() / "edge";
  const Words words = edge(out, {"--vary", "attention=softmax,elu1_kernel/sum"});
  const Outcome outcome = polariscope_run(words);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_TRUE(outcome.out.starts_with("variant ")) << outcome.out;
  const auto json = found(out);
  ASSERT_EQ(json.at("variants").size(), 2U);
  EXPECT_EQ(json.at("variants").at(0).at("name"), "attention=softmax");  // which is the base
  for (const auto& variant : json.at("variants")) {
    const auto& seed = variant.at("seeds").at(0);
    EXPECT_TRUE(seed.at("known"));
    for (const auto& run : seed.at("runs")) {
      const auto result = nlohmann::json::parse(bytes_of(out / run.at("folder").get<std::string>() / "result.json"));
      const bool collapsed = run.at("sign") != "held";
      EXPECT_EQ(collapsed, run.at("learning_rate") > seed.at("held").get<double>()) << seed;
      EXPECT_EQ(run.at("sign") == "alarm", result.at("stopped_by_alarm"));
      EXPECT_EQ(run.at("sign") == "diverged", result.at("diverged"));
    }
  }
  const auto& softmax = json.at("variants").at(0).at("seeds").at(0);
  EXPECT_GE(softmax.at("held"), 0.02);
  EXPECT_LE(softmax.at("collapsed"), 6.4);
  // Done is done, and the table is that of the first time.
  const std::string before = listing(out);
  EXPECT_EQ(polariscope_run(words).out, outcome.out);
  EXPECT_EQ(listing(out), before);
  EXPECT_EQ(polariscope_run([&] {
              Words as_json = words;
              as_json.emplace_back("--json");
              return as_json;
            }())
                .out,
            bytes_of(out / "edge.json"));
}

TEST(EdgeCommand, ThatWasInterruptedSays130AndGoesOn) {
  const TemporaryFolder folder;
  const fs::path whole = folder.path() / "whole", out = folder.path() / "edge";
  EXPECT_EQ(polariscope_run(edge(whole)).code, 0);
  Running process(polariscope_command(edge(out)));
  wait_for(out / "edge.json", process);  // after the first run
  process.send(SIGINT);
  const Outcome outcome = process.wait();
  EXPECT_EQ(outcome.code, 130) << outcome.err;
  EXPECT_NE(outcome.out.find("interrupted: the same command goes on\n"), std::string::npos) << outcome.out;
  EXPECT_FALSE(found(out).at("variants").at(0).at("seeds").at(0).at("known"));
  EXPECT_EQ(polariscope_run(edge(out)).code, 0);
  EXPECT_EQ(bytes_of(out / "edge.json"), bytes_of(whole / "edge.json"));
}

TEST(EdgeCommand, WithARunThatFailsSays1AndWhy) {
  const TemporaryFolder folder;
  const Outcome outcome = polariscope_run(edge(folder.path() / "edge", {"--attention", "mlp"}));
  EXPECT_EQ(outcome.code, 1) << outcome.err;
  EXPECT_NE(outcome.out.find("base seed 0 has no edge, for a run failed: exit code 2: polariscope: "),
            std::string::npos)
      << outcome.out;
}

}  // namespace
}  // namespace polariscope::testing
