// polariscope train from the command line: its help, what it refuses, and what a run leaves.
#include "polariscope/base/fingerprint.h"
#include "polariscope/base/safetensors.h"
#include "polariscope/runs/options.h"
#include "short_training.h"
#include "support/temporary_folder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <regex>
#include <set>

namespace polariscope::testing {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

TEST(Train, HelpsInWords) {
  const Outcome outcome = polariscope_run({"train", "--help"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  for (const char* word : {"--attention", "--out", "--mlp", "metrics.jsonl", "tensorboard"}) {
    EXPECT_NE(outcome.out.find(word), std::string::npos) << word;
  }
}

std::set<std::string> options_in(const std::string& help) {
  std::set<std::string> options;
  const std::regex option("\n  (?:-h,)?(--[a-z0-9-]+)");
  for (std::sregex_iterator match(help.begin(), help.end(), option), end; match != end; ++match) {
    options.insert((*match)[1]);
  }
  return options;
}

TEST(Train, HasTheOptionsOfTheTableAndNoOthers) {
  std::set<std::string> expected{"--help", "--out", "--quiet", "--dry-run"};
  for (const runs::Option& option : runs::options()) expected.insert(runs::flag_of(option));
  EXPECT_EQ(options_in(polariscope_run({"train", "--help"}).out), expected);
}

TEST(Train, HelpsInGroupsWithTheDefaultsOfEachTask) {
  const std::string help = polariscope_run({"train", "--help"}).out;
  std::size_t at = 0;
  for (const char* part : {"\nTask:", "--vocabulary", "\nModel:", "--layers", "Default 2 (",
                           "\nTraining:", "--learning-rate", "\nHow it is done", "--threads", "--out"}) {
    at = help.find(part, at);
    ASSERT_NE(at, std::string::npos) << part << help;
  }
}

TEST(Train, RefusesInOneSentenceAndLeavesNoFolder) {
  expect_refused({"train"}, {"--out FOLDER"});
  expect_refused(train({"--out", "run", "--task", "inducton"}), {"inducton", "induction"});
  expect_refused(train({"--out", "run", "--attention", "sofmax"}), {"sofmax", "softmax"});
  expect_refused(train({"--out", "run", "--positions", "rotary"}), {"rotary", "concat, add, no"});
  expect_refused(train({"--out", "run", "--optimiser", "adan"}), {"adan", "adam"});
  expect_refused(train({"--out", "run", "--on-alarm", "shout"}), {"--on-alarm", "shout", "log, checkpoint, stop"});
  expect_refused(train({"--out", "run", "--mlp", "yes"}), {"--mlp", "yes", "true or false"});
  expect_refused(train({"--out", "run", "--heads=3"}), {"--heads", "more than once"});
  expect_refused({"train", "--out", "run", "--heads", "3"}, {"heads must divide the width 128, found 3"});
  expect_refused({"train", "--out", "run", "--width", "2.5"}, {"--width is 2.5", "a whole number"});
  expect_refused({"train", "--out", "run", "--epochs", "0"}, {"--epochs is 0", "a whole number of 1 to"});
  for (const char* rate : {"-1", "0", "inf", "nan", "1e300", "1e999"}) {
    expect_refused({"train", "--out", "run", "--learning-rate", rate},
                   {"--learning-rate is ", "a finite number above 0"});
  }
  for (const char* seconds : {"-1", "inf", "nan"}) {
    expect_refused({"train", "--out", "run", "--checkpoint-every", seconds}, {"--checkpoint-every is ", seconds});
  }
  expect_refused({"train", "--out", "run", "--momentum", "1", "--optimiser", "sgd"}, {"--momentum is 1", "below 1"});
  expect_refused({"train", "--out", "run", "--learning-rate", "fast"}, {"--learning-rate", "fast", "number"});
  expect_refused({"train", "--out", "run", "--vocabulary", "8"}, {"a vocabulary of 8 has 7 beside BOS"});
  expect_refused({"train", "--out", "run", "--task", "token-groups", "--vocabulary", "80"},
                 {"a vocabulary of 80 has 79 tokens beside CLS"});
  expect_refused({"train", "--out", "run", "--task", "token-groups", "--shift-query-token", "true"},
                 {"--shift-query-token has no meaning for token-groups", "induction"});
  expect_refused({"train", "--out", "run", "--widht", "16"}, {"--widht", "--width"});
  expect_refused({"train", "nowhere.toml", "--out", "run"}, {"nowhere.toml"});
}

TEST(Train, RefusesByNameWhatHasNoMeaning) {
  expect_refused({"train", "--out", "run", "--optimiser", "sgd", "--weight-decay", "0.1"},
                 {"--weight-decay has no meaning without optimiser adamw"});
  expect_refused({"train", "--out", "run", "--momentum", "0.9"}, {"--momentum has no meaning without optimiser sgd"});
  expect_refused({"train", "--out", "run", "--task", "token-groups", "--auxiliary-loss", "0.2"},
                 {"--auxiliary-loss has no meaning for token-groups, only for induction"});
  expect_refused({"train", "--out", "run", "--qk-norm", "layer"}, {"--qk-norm has no meaning for induction"});
}

TEST(Train, RefusesASizeThatNoMemoryHolds) {
  expect_refused({"train", "--out", "run", "--width", "1e9"},
                 {"--width is 1000000000", "a whole number of 1 to 1000000"});
  expect_refused({"train", "--out", "run", "--width", "1e6"}, {"GB of memory", "choose smaller ones"});
  expect_refused({"train", "--out", "run", "--task", "token-groups", "--layers", "1e4", "--width", "1e5"},
                 {"GB of memory", "choose smaller ones"});
}

TEST(Train, RefusesAFileThatIsNoneOfItsOwn) {
  const TemporaryFolder folder;
  const auto refused = [&](const std::string& toml, const Words& words) {
    write_bytes(folder.path() / "c.toml", toml);
    expect_refused_in(folder.path(), {"train", "c.toml", "--out", "run"}, words);
  };
  refused("width = \n", {"c.toml", "line 1"});
  refused("widht = 16\n", {"c.toml", "widht", "width"});
  refused("mlp = 1\n", {"c.toml", "mlp", "true or false"});
  refused("width = \"wide\"\n", {"c.toml, line 1: width holds \"wide\"", "a number"});
  refused("seed = 1\nwidth = \"16\"\n", {"c.toml, line 2: width holds \"16\"", "a number"});
  refused("width = 0\n", {"c.toml, line 1: ", "width is 0"});
  refused("attention = 1e3\n", {"c.toml, line 1: attention holds 1000", "a string"});
  refused("learning_rate = 1\nseed = 3\nlearning-rate = 2\n", {"c.toml", "learning-rate", "learning_rate", "same"});
  refused("momentum = 0.9\n", {"--momentum has no meaning"});
  refused("command = \"flow\"\n", {"c.toml", "flow", "train"});
}

TEST(Train, WritesASettingAsOneWouldAndReadsItAgain) {
  const TemporaryFolder folder;
  const std::string run = (folder.path() / "run").string(), again = (folder.path() / "again").string();
  expect_done(train({"--out", run, "--mlp", "false", "--learning-rate", "0.00123456789012345", "--seed", "1e3",
                     "--positions", "add"}));
  const std::string config = bytes_of(run + "/config.toml");
  for (const char* line : {"vocabulary = 50\n", "training-sequences = 400\n", "mlp = false\n", "layer-norm = true\n",
                           "shift-query-token = false\n", "seed = 1000\n", "learning-rate = 0.00123456789012345\n",
                           "positions = \"add\"\n", "width = 16\n"}) {
    EXPECT_NE(config.find(line), std::string::npos) << line << config;
  }
  expect_done({"train", run + "/config.toml", "--threads", "1", "--quiet", "--out", again});
  expect_same_run(run, again);
}

TEST(Train, TakesARunsConfigWithAnotherSeedToAnotherFolderOnly) {
  const TemporaryFolder folder;
  const std::string run = (folder.path() / "run").string(), other = (folder.path() / "other").string();
  expect_done(train({"--out", run}));
  const std::string before = listing(run);
  expect_refused_in(folder.path(), {"train", run + "/config.toml", "--seed", "1", "--out", run}, {"--seed", run});
  expect_refused_in(folder.path(), train({"--seed", "1", "--out", run}), {"seed = 0", "seed = 1"});
  EXPECT_EQ(listing(run), before);
  expect_done({"train", run + "/config.toml", "--seed", "1", "--threads", "1", "--quiet", "--out", other});
  EXPECT_NE(bytes_of(run + "/result.json"), bytes_of(other + "/result.json"));
  expect_done({"train", run + "/config.toml", "--quiet", "--out", run});  // is done
  EXPECT_EQ(listing(run), before);
}

TEST(Train, DoesAtAnAlarmWhatItWasAskedTo) {
  const TemporaryFolder folder;
  const auto result_of = [&](const char* on_alarm) {
    const fs::path run = folder.path() / on_alarm;
    // Without LayerNorm this rate explodes within a dozen steps.
    expect_done({"train", "--width=32", "--heads=2", "--mlp=false", "--layer-norm=false", "--optimiser=sgd",
                 "--learning-rate=1", "--momentum=0.9", "--training-sequences=640", "--batch=32", "--epochs=1",
                 "--evaluation-sequences=40", "--threads=1", "--quiet", "--on-alarm", on_alarm, "--out", run.string()});
    return nlohmann::json::parse(bytes_of(run / "result.json"));
  };
  const nlohmann::json logged = result_of("log"), stopped = result_of("stop"), kept = result_of("checkpoint");
  ASSERT_GT(logged.at("alarms"), 0) << logged;
  const std::string step = logged.at("first_alarm_step").dump();
  EXPECT_GT(logged.at("steps"), logged.at("first_alarm_step"));
  EXPECT_EQ(logged.at("diverged"), true);
  EXPECT_EQ(logged.at("stopped_by_alarm"), false);
  EXPECT_EQ(stopped.at("steps").dump(), step);
  EXPECT_EQ(stopped.at("diverged"), false);
  EXPECT_EQ(stopped.at("stopped_by_alarm"), true);
  EXPECT_EQ(kept, logged);
  EXPECT_TRUE(fs::exists(folder.path() / "checkpoint" / "checkpoint" / ("alarm-" + step + ".safetensors")));
  EXPECT_TRUE(bytes_of(folder.path() / "log" / "alarms.jsonl").starts_with("{\"step\":" + step + ","));
  EXPECT_EQ(bytes_of(folder.path() / "log" / "config.toml"), bytes_of(folder.path() / "stop" / "config.toml"));
}

// Were standard error's number given to the first file that is opened, alarms would be told into it.
TEST(Train, TellsNobodyOfAnAlarmWhereStandardErrorIsClosed) {
  const TemporaryFolder folder;
  const auto command = [&](const char* name) {
    return polariscope_command({"train", "--width=32", "--heads=2", "--mlp=false", "--layer-norm=false",
                                "--optimiser=sgd", "--learning-rate=1", "--momentum=0.9", "--training-sequences=640",
                                "--batch=32", "--epochs=1", "--evaluation-sequences=40", "--threads=1", "--out",
                                (folder.path() / name).string()});
  };
  EXPECT_NE(Running(command("open")).wait().err.find("runaway"), std::string::npos);
  Words closed{"/bin/sh", "-c", "exec \"$@\" 2>&-", "sh"};
  for (const std::string& word : command("closed")) closed.push_back(word);
  EXPECT_EQ(Running(closed).wait().code, 0);
  expect_same_run(folder.path() / "open", folder.path() / "closed");
}

TEST(Train, GivesNoAlarmToAnInductionModelThatLearns) {
  const TemporaryFolder folder;
  const fs::path run = folder.path() / "run";
  expect_done({"train", "--heads=2", "--width=64", "--mlp=false", "--positions=add", "--batch=64",
               "--training-sequences=25600", "--epochs=1", "--evaluation-sequences=40", "--threads=1", "--quiet",
               "--on-alarm=stop", "--out", run.string()});
  const auto result = nlohmann::json::parse(bytes_of(run / "result.json"));
  EXPECT_EQ(result.at("alarms"), 0);
  EXPECT_EQ(result.at("steps"), 400);
}

TEST(Train, LeavesResultsThatProgramsRead) {
  const TemporaryFolder folder;
  const fs::path run = folder.path() / "run";
  Words words = train({"--out", run.string(), "--task", "token-groups"});
  std::erase(words, "--quiet");
  const Outcome outcome = polariscope_run(words);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  const auto result = nlohmann::json::parse(bytes_of(run / "result.json"));
  for (const char* name : {"steps", "training_loss", "loss", "accuracy", "entropy", "frobenius_norm", "flip_rate"}) {
    EXPECT_TRUE(result.contains(name) && result[name].is_number()) << name;
  }
  const auto lines = lines_of(bytes_of(run / "metrics.jsonl"));
  EXPECT_EQ(lines.size(), 100U);
  const auto last = nlohmann::json::parse(lines.back());
  EXPECT_EQ(last["step"], 100);
  EXPECT_EQ(last["loss"], result["training_loss"]);
  EXPECT_EQ(last["entropy"].size(), 1U);
  EXPECT_EQ(last["entropy"][0].size(), 2U);
  EXPECT_EQ(nlohmann::json::parse(bytes_of(run / "heads.json")).size(), 2U);
}

// Those that the experiments on induction read; a name that no run leaves is an empty figure there.
TEST(Train, LeavesTheNumbersOfSinksThatExperimentsRead) {
  const TemporaryFolder folder;
  const fs::path run = folder.path() / "run";
  expect_done(train({"--out", run.string()}));
  const auto result = nlohmann::json::parse(bytes_of(run / "result.json"));
  for (const char* name : {"accuracy", "sink_fraction", "sink_score", "importance", "entropy", "frobenius_norm"}) {
    EXPECT_TRUE(result.contains(name) && result[name].is_number()) << name;
  }
}

TEST(Train, SaysWhichProgramMadeARun) {
  const TemporaryFolder folder;
  const fs::path run = folder.path() / "run";
  const auto words = [&](const char* threads) {
    Words all = train({"--threads", threads, "--out", run.string()});
    std::erase(all, "--threads=1");
    return all;
  };
  expect_done(words("1"));
  const std::string bytes = bytes_of(run / "provenance.json");
  const auto programs = nlohmann::json::parse(bytes);
  ASSERT_EQ(programs.size(), 1U);
  const fs::path program = fs::path(POLARISCOPE_BINARY).parent_path() / "polariscope-train";
  EXPECT_EQ(programs[0]["program"], fmt::format("{:016x}", fingerprint(bytes_of(program))));
  EXPECT_EQ(programs[0]["threads"], 1);
  EXPECT_NE(programs[0]["libtorch"], "");
  EXPECT_NE(programs[0]["simd_target"], "");
  // Of a run that is done no other is a part.
  expect_done(words("2"));
  EXPECT_EQ(bytes_of(run / "provenance.json"), bytes);
  fs::remove(run / "result.json");
  expect_done(words("2"));
  const auto both = nlohmann::json::parse(bytes_of(run / "provenance.json"));
  ASSERT_EQ(both.size(), 2U);
  EXPECT_EQ(both[1]["threads"], 2);
}

TEST(Train, IsOfOneProgramInEveryRowOfASweep) {
  const TemporaryFolder folder;
  write_bytes(folder.path() / "grid.toml",
              "task = \"in-context-regression\"\nsteps = 3\nbatch = 8\nlayer_form = [\"plain\", \"residual\"]\n");
  Surroundings here;
  here.folder = folder.path();
  EXPECT_EQ(polariscope_run({"sweep", "run", "grid.toml", "--out", "sweep", "--quiet"}, here).code, 0);
  const Words rows = lines_of(polariscope_run({"sweep", "export", "sweep"}, here).out);
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_NE(rows[0].find(",failure,program_version,program_commit,program,machine,"), std::string::npos) << rows[0];
  const fs::path program = fs::path(POLARISCOPE_BINARY).parent_path() / "polariscope-train";
  const std::string made_by = fmt::format(",{:016x},", fingerprint(bytes_of(program)));
  for (std::size_t row : {1, 2}) EXPECT_NE(rows[row].find(made_by), std::string::npos) << rows[row];
}

TEST(Train, ThatDivergesKeepsTheParametersBeforeItAndSaysSo) {
  const TemporaryFolder folder;
  const fs::path run = folder.path() / "run";
  // LayerNorm and AdamW keep numbers small: without the one, SGD with this rate overflows in a few steps.
  expect_done(train({"--out", run.string(), "--layer-norm", "false", "--optimiser", "sgd", "--learning-rate", "1e9"}));
  const auto result = nlohmann::json::parse(bytes_of(run / "result.json"));
  EXPECT_EQ(result.at("diverged"), true) << result;
  EXPECT_TRUE(result.at("training_loss").is_null()) << result;
  const std::int64_t last = result.at("last_finite_step");
  EXPECT_EQ(result.at("steps"), last + 1);
  EXPECT_LT(last, 100);
  const auto lines = lines_of(bytes_of(run / "metrics.jsonl"));
  EXPECT_EQ(lines.size(), static_cast<std::size_t>(last + 1));
  EXPECT_TRUE(nlohmann::json::parse(lines.back()).at("update_norm").is_null());
  const Safetensors before(run / "checkpoint" / "before_divergence.safetensors");
  EXPECT_EQ(before.metadata().at("step"), std::to_string(last));
  for (const StoredTensor& tensor : before.tensors()) {
    for (const double number : to_doubles(tensor)) ASSERT_TRUE(std::isfinite(number)) << tensor.name;
  }
  // Killed before its result, it diverges again.
  const std::string metrics = bytes_of(run / "metrics.jsonl"), whole = bytes_of(run / "result.json");
  fs::remove(run / "result.json");
  expect_done(train({"--out", run.string(), "--layer-norm", "false", "--optimiser", "sgd", "--learning-rate", "1e9"}));
  EXPECT_EQ(bytes_of(run / "metrics.jsonl"), metrics);
  EXPECT_EQ(bytes_of(run / "result.json"), whole);
}

TEST(Train, ThatIsRescuedGoesOnToItsEnd) {
  const TemporaryFolder folder;
  const fs::path run = folder.path() / "run";
  // A rate of which the second step is not finite, and a factor that makes it a good one.
  expect_done(train({"--task", "token-groups", "--learning-rate", "1e20", "--rescue", "lower", "--rescue-factor",
                     "1e-23", "--out", run.string()}));
  const auto result = nlohmann::json::parse(bytes_of(run / "result.json"));
  EXPECT_EQ(result.at("rescues"), 1);
  EXPECT_EQ(result.at("diverged"), false);
  EXPECT_EQ(result.at("steps"), 100);
  const std::vector<std::string> steps = lines_of(bytes_of(run / "metrics.jsonl"));
  ASSERT_EQ(steps.size(), 100U);
  EXPECT_TRUE(steps.back().starts_with("{\"step\":100,"));
  EXPECT_TRUE(bytes_of(run / "cls_attention.jsonl").starts_with("{\"step\":0,"));
}

TEST(Train, SaysWithHowManyThreadsItRan) {
  const TemporaryFolder folder;
  const auto threads_of = [&](const fs::path& run) {
    std::vector<int> threads;
    for (const auto& one : nlohmann::json::parse(bytes_of(run / "provenance.json"))) {
      EXPECT_EQ(one.at("libtorch").get<std::string>().empty(), run.filename() == "regression");
      threads.push_back(one.at("threads"));
    }
    return threads;
  };
  const auto result_of = [](const fs::path& run) { return nlohmann::json::parse(bytes_of(run / "result.json")); };
  const Words transformer = train({}, "1"),
              regression{"train", "--task",     "in-context-regression", "--quiet", "--steps", "3", "--batch",
                         "10",    "--threads=1"};
  for (const auto& [name, words] : {std::pair{"transformer", transformer}, std::pair{"regression", regression}}) {
    const fs::path run = folder.path() / name;
    Words more = words;
    more.insert(more.end(), {"--out", run.string()});
    expect_done(more);
    EXPECT_EQ(threads_of(run), std::vector{1}) << name;
    EXPECT_EQ(result_of(run).at("threads"), 1) << name;
    fs::remove(run / "result.json");
    std::ranges::replace(more, std::string("--threads=1"), std::string("--threads=2"));
    expect_done(more);
    EXPECT_EQ(threads_of(run), (std::vector{1, 2})) << name;
    EXPECT_EQ(result_of(run).at("threads"), "1 + 2") << name;
  }
}

}  // namespace
}  // namespace polariscope::testing
