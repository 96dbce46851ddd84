// A language model from a text file to an audit, by the commands of docs/language-models.md; and one that is killed.
#include "command.h"
#include "polariscope/base/files.h"
#include "polariscope/base/safetensors.h"
#include "support/temporary_folder.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace polariscope::testing {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

constexpr const char* kTiny = R"({"model_type": "llama", "vocab_size": 256, "hidden_size": 32, "intermediate_size": 48,
  "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 64, "rms_norm_eps": 1e-5})";

std::vector<double> losses_of(const fs::path& log) {
  std::ifstream file(log);
  std::vector<double> losses;
  for (std::string line; std::getline(file, line);) losses.push_back(nlohmann::json::parse(line)["loss"].get<double>());
  return losses;
}

class LanguageModel : public ::testing::Test {
 protected:
  void SetUp() override { write_file(at("tiny.json"), kTiny); }

  std::string at(const std::string& name) const { return (folder_.path() / name).string(); }
  Surroundings here(std::vector<std::string> environment = {}) const {
    return {.folder = folder_.path(), .input = "", .output_to = "", .environment = std::move(environment)};
  }
  Outcome run(const Words& words) const { return polariscope_run(words, here()); }
  Words training(const std::string& out, const Words& more = {}) const {
    Words words{"train",   "--task", "language-model", "--data", "example", "--model", "tiny.json", "--context", "32",
                "--batch", "4",      "--steps",        "6",      "--out",   out,       "--quiet"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  nlohmann::json result_of(const std::string& out) const {
    return nlohmann::json::parse(read_file(folder_.path() / out / "result.json"));
  }

  TemporaryFolder folder_;
};

// The first block of the page's commands, but for the server, with fewer steps of a smaller model.
TEST_F(LanguageModel, GoesFromATextToAnAuditByTheCommandsOfItsPage) {
  write_file(at("book.txt"), read_file(fs::path(POLARISCOPE_SOURCE_DIR) / "docs" / "language-models.md"));
  std::ifstream page(fs::path(POLARISCOPE_SOURCE_DIR) / "docs" / "language-models.md");
  std::string line;
  while (std::getline(page, line) && line != "```sh") continue;
  int done = 0;
  while (std::getline(page, line) && line != "```") {
    std::istringstream words(line.substr(0, line.find(" #")));
    Words command{std::istream_iterator<std::string>(words), {}};
    ASSERT_EQ(command.at(0), "polariscope") << line;
    command.erase(command.begin());
    ++done;
    if (command.at(0) == "watch") continue;
    for (std::string& word : command) {
      if (word == "600") word = "3";
      if (word == "llama-3m") word = "tiny.json";
    }
    if (command.at(0) == "train") command.emplace_back("--quiet");
    const Outcome outcome = run(command);
    ASSERT_EQ(outcome.code, 0) << line << outcome.err;
  }
  EXPECT_EQ(done, 5);
}

TEST_F(LanguageModel, IsTrainedExportedAndAudited) {
  ASSERT_EQ(run(training("run")).code, 0);
  const nlohmann::json result = result_of("run");
  EXPECT_EQ(result["tokens"], 6 * 4 * 32);
  EXPECT_LT(result["validation_loss"].get<double>(), std::log(256.0));
  for (const char* file : {"metrics.jsonl", "validation.jsonl", "config.toml", "provenance.json"}) {
    EXPECT_TRUE(fs::exists(folder_.path() / "run" / file)) << file;
  }
  const Outcome exported = run({"export", "run", "--out", "model"});
  ASSERT_EQ(exported.code, 0) << exported.err;
  EXPECT_NE(exported.out.find("llama that transformers loads"), std::string::npos) << exported.out;
  write_file(at("ids.json"), "[[72, 101, 108, 108, 111, 32, 119, 111, 114, 108, 100]]");
  const Outcome audited = run({"audit", "model", "--ids", "ids.json", "--json", "--quiet"});
  ASSERT_EQ(audited.code, 0) << audited.err;
  EXPECT_TRUE(nlohmann::json::parse(audited.out).is_object());
  // What was exported is gone on from.
  ASSERT_EQ(run({"train", "--task", "language-model", "--data", "example", "--model", "model", "--context", "32",
                 "--batch", "4", "--steps", "2", "--out", "on", "--quiet"})
                .code,
            0);
  std::ifstream log(folder_.path() / "on" / "validation.jsonl");
  std::string first;
  std::getline(log, first);
  EXPECT_NEAR(nlohmann::json::parse(first)["loss"].get<double>(), result["validation_loss"].get<double>(), 1e-6);
}

TEST_F(LanguageModel, WithAttentionOfItsOwnIsAuditedToo) {
  ASSERT_EQ(run(training("run", {"--attention", "relu_kernel/sum", "--qk-norm", "layer"})).code, 0);
  const Outcome exported = run({"export", "run", "--out", "model"});
  ASSERT_EQ(exported.code, 0) << exported.err;
  EXPECT_NE(exported.out.find("in no class of transformers"), std::string::npos) << exported.out;
  write_file(at("ids.json"), "[[72, 101, 108, 108, 111, 32, 119, 111, 114, 108, 100]]");
  const Outcome audited = run({"audit", "model", "--ids", "ids.json", "--json", "--quiet"});
  EXPECT_EQ(audited.code, 0) << audited.err;
}

TEST_F(LanguageModel, WithNormsOfQueriesAndKeysBecomesAQwen3) {
  ASSERT_EQ(run(training("run", {"--qk-norm", "rms"})).code, 0);
  ASSERT_EQ(run({"export", "run", "--out", "model"}).code, 0);
  const auto config = nlohmann::json::parse(read_file(at("model/config.json")));
  EXPECT_EQ(config["model_type"], "qwen3");
  EXPECT_EQ(config["architectures"][0], "Qwen3ForCausalLM");
  // The same numbers by the other class.
  Words words{"train",   "--task", "language-model", "--data", "example", "--model", "model",  "--context", "32",
              "--batch", "4",      "--steps",        "1",      "--out",   "on",      "--quiet"};
  ASSERT_EQ(run(words).code, 0);
  std::ifstream log(folder_.path() / "on" / "validation.jsonl");
  std::string first;
  std::getline(log, first);
  EXPECT_NEAR(nlohmann::json::parse(first)["loss"].get<double>(), result_of("run")["validation_loss"].get<double>(),
              1e-6);
}

// What it was made with decides, not Qwen3's usual numbers.
TEST_F(LanguageModel, AQwen3HasTheLlamasOwnHeadsAndEpsilon) {
  nlohmann::json config = nlohmann::json::parse(kTiny);
  config["head_dim"] = 12;
  config["rms_norm_eps"] = 0.3;
  write_file(at("tiny.json"), config.dump());
  ASSERT_EQ(run(training("run", {"--qk-norm", "rms"})).code, 0);
  ASSERT_EQ(run({"export", "run", "--out", "model"}).code, 0);
  EXPECT_EQ(nlohmann::json::parse(read_file(at("model/config.json")))["head_dim"], 12);
  const Words on{"train",   "--task", "language-model", "--data", "example", "--model", "model",  "--context", "32",
                 "--batch", "4",      "--steps",        "1",      "--out",   "on",      "--quiet"};
  ASSERT_EQ(run(on).code, 0);
  EXPECT_NEAR(losses_of(at("on/validation.jsonl")).front(), result_of("run")["validation_loss"].get<double>(), 1e-6);
}

TEST_F(LanguageModel, WithAGateIsAuditedAndRefusedByOthers) {
  ASSERT_EQ(run(training("run", {"--output-gate", "true"})).code, 0);
  const Outcome exported = run({"export", "run", "--out", "model"});
  ASSERT_EQ(exported.code, 0) << exported.err;
  const auto config = nlohmann::json::parse(read_file(at("model/config.json")));
  EXPECT_EQ(config["model_type"], "polariscope-llama");
  EXPECT_EQ(config["polariscope"]["output_gate"], true);
  write_file(at("ids.json"), "[[72, 101, 108, 108, 111, 32, 119, 111, 114, 108, 100]]");
  EXPECT_EQ(run({"audit", "model", "--ids", "ids.json", "--json", "--quiet"}).code, 0);
}

TEST_F(LanguageModel, WithSigmaReparamBecomesAPlainLlama) {
  ASSERT_EQ(run(training("run", {"--sigma-reparam", "true"})).code, 0);
  const Outcome exported = run({"export", "run", "--out", "model"});
  ASSERT_EQ(exported.code, 0) << exported.err;
  EXPECT_NE(exported.out.find("llama that transformers loads"), std::string::npos) << exported.out;
  ASSERT_EQ(run({"train", "--task", "language-model", "--data", "example", "--model", "model", "--context", "32",
                 "--batch", "4", "--steps", "1", "--out", "on", "--quiet"})
                .code,
            0);
  EXPECT_NEAR(losses_of(at("on/validation.jsonl")).front(), result_of("run")["validation_loss"].get<double>(), 1e-5);
}

TEST_F(LanguageModel, WithSigmaReparamOnTwoProcessesIsWhatItIsOnOne) {
  ASSERT_EQ(run(training("one", {"--threads", "1", "--sigma-reparam", "true"})).code, 0);
  ASSERT_EQ(run(training("two", {"--threads", "1", "--sigma-reparam", "true", "--processes", "2"})).code, 0);
  const std::vector<double> one = losses_of(at("one/metrics.jsonl")), two = losses_of(at("two/metrics.jsonl"));
  ASSERT_EQ(two.size(), 6U);
  for (std::size_t s = 0; s < one.size(); ++s) EXPECT_NEAR(one[s], two[s], 1e-5);
}

TEST_F(LanguageModel, IsPlannedWithoutAFolder) {
  const Outcome planned = run({"train", "--task", "language-model", "--model", "llama-3m", "--context", "32", "--batch",
                               "4", "--steps", "6", "--dry-run"});
  ASSERT_EQ(planned.code, 0) << planned.err;
  for (const char* word : {"parameters  3.", "weights", "768: 6 steps of 4 sequences of 32", "there is no data",
                           "measured", "multiplied"}) {
    EXPECT_NE(planned.out.find(word), std::string::npos) << word << " in " << planned.out;
  }
  expect_refused({"train", "--task", "induction", "--dry-run"}, {"--dry-run is of --task language-model"});
}

TEST_F(LanguageModel, OnAGpuThatIsNotThereIsRefused) {
  Words words = training("run", {"--device", "cuda"});
  const Outcome outcome = run(words);
  if (outcome.code == 0) GTEST_SKIP() << "this machine has a GPU, so that nothing is refused";
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("there is no GPU"), std::string::npos) << outcome.err;
  EXPECT_FALSE(fs::exists(at("run")));
}

TEST_F(LanguageModel, IsNotHalfExported) {
  ASSERT_EQ(run(training("run")).code, 0);
  const Outcome outcome = run({"export", "run", "--out", "model", "--tokenizer", "tiny.json"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("no file of a tokenizer"), std::string::npos) << outcome.err;
  EXPECT_FALSE(fs::exists(at("model")));
}

TEST_F(LanguageModel, OutOfAGgufFileIsNotExported) {
  write_safetensors(at("gguf.safetensors"), {}, {{"model", ""}});
  const Outcome outcome = run({"export", "gguf.safetensors", "--out", "model"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("out of a GGUF file"), std::string::npos) << outcome.err;
}

TEST_F(LanguageModel, GoesOnAfterAKillWithTheSameBits) {
  Words once = training("once", {"--checkpoint-every", "0"}), again = training("again", {"--checkpoint-every", "0"});
  for (Words* words : {&once, &again}) {
    for (std::string& word : *words) {
      if (word == "6") word = "150";
    }
  }
  ASSERT_EQ(run(once).code, 0);
  {
    Running running(polariscope_command(again), here());
    wait_for(folder_.path() / "again" / "checkpoint" / "last.safetensors", running);
    std::this_thread::sleep_for(std::chrono::milliseconds(120));
    running.send(SIGKILL);
    running.wait();
  }
  ASSERT_EQ(run(again).code, 0);
  for (const char* file : {"metrics.jsonl", "validation.jsonl"}) {
    EXPECT_EQ(read_file(folder_.path() / "once" / file), read_file(folder_.path() / "again" / file)) << file;
  }
}

TEST_F(LanguageModel, OnTwoProcessesIsWhatItIsOnOne) {
  ASSERT_EQ(run(training("one", {"--threads", "1"})).code, 0);
  for (const char* out : {"two", "again"}) {
    const Outcome outcome = run(training(out, {"--threads", "1", "--processes", "2"}));
    ASSERT_EQ(outcome.code, 0) << outcome.err;
  }
  const std::vector<double> one = losses_of(at("one/metrics.jsonl")), two = losses_of(at("two/metrics.jsonl"));
  ASSERT_EQ(one.size(), 6U);
  ASSERT_EQ(two.size(), 6U);
  for (std::size_t s = 0; s < one.size(); ++s) EXPECT_NEAR(one[s], two[s], 1e-5);
  EXPECT_EQ(read_file(at("two/metrics.jsonl")), read_file(at("again/metrics.jsonl")));
}

// A rate of which the second step is not finite, and a factor that makes it a good one.
TEST_F(LanguageModel, IsRescuedAlikeOnOneProcessAndOnTwo) {
  const Words hopeless{"--threads",       "1",     "--learning-rate", "1e20", "--rescue", "lower",
                       "--rescue-factor", "1e-23", "--warmup",        "0"};
  Words two = hopeless;
  two.insert(two.end(), {"--processes", "2"});
  ASSERT_EQ(run(training("one", hopeless)).code, 0);
  const Outcome outcome = run(training("two", two));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  for (const char* out : {"one", "two"}) {
    const auto result = nlohmann::json::parse(read_file(at(std::string(out) + "/result.json")));
    EXPECT_EQ(result.at("rescues"), 1) << out;
    EXPECT_EQ(result.at("diverged"), false) << out;
    EXPECT_EQ(result.at("steps"), 6) << out;
    EXPECT_TRUE(fs::exists(at(std::string(out) + "/rescue-1.jsonl")));
  }
  EXPECT_EQ(read_file(at("one/alarms.jsonl")), read_file(at("two/alarms.jsonl")));
  const std::vector<double> one = losses_of(at("one/metrics.jsonl")), other = losses_of(at("two/metrics.jsonl"));
  ASSERT_EQ(one.size(), 6U);
  ASSERT_EQ(other.size(), 6U);
  for (std::size_t s = 0; s < one.size(); ++s) EXPECT_NEAR(one[s], other[s], 1e-5);
}

// The process of that rank that runs in the folder; 0 where there is none.
pid_t process_of(const std::string& rank, const fs::path& folder) {
  for (const fs::directory_entry& entry : fs::directory_iterator("/proc")) {
    std::error_code gone;
    if (fs::read_symlink(entry.path() / "cwd", gone) != fs::canonical(folder) || gone) continue;
    std::ifstream file(entry.path() / "environ", std::ios::binary);
    const std::string environment{std::istreambuf_iterator<char>(file), {}};
    if (environment.find("RANK=" + rank + std::string(1, '\0')) == std::string::npos) continue;
    return static_cast<pid_t>(std::stoi(entry.path().filename().string()));
  }
  return 0;
}

TEST_F(LanguageModel, WhoseOtherProcessIsKilledEndsAndGoesOnWithAnotherNumber) {
  Words words = training("run", {"--threads", "1", "--checkpoint-every", "0"});
  for (std::string& word : words) {
    if (word == "6") word = "400";
  }
  Words two = words;
  two.insert(two.end(), {"--processes", "2"});
  {
    Running running(polariscope_command(two), here());
    wait_for(at("run/checkpoint/last.safetensors"), running);
    const pid_t other = process_of("1", folder_.path());
    ASSERT_GT(other, 0);
    kill(other, SIGKILL);
    const Outcome outcome = running.wait();
    EXPECT_EQ(outcome.code, 2);
    EXPECT_NE(outcome.err.find("gone or does not answer"), std::string::npos) << outcome.err;
  }
  EXPECT_FALSE(fs::exists(at("run/result.json")));
  ASSERT_EQ(run(words).code, 0);
  EXPECT_EQ(losses_of(at("run/metrics.jsonl")).size(), 400U);
  EXPECT_EQ(process_of("1", folder_.path()), 0);
}

// A port that this process listens at.
class HeldPort {
 public:
  HeldPort() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    if (bind(socket_, reinterpret_cast<sockaddr*>(&address), size) == 0 && listen(socket_, 1) == 0) {
      getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size);
      number_ = ntohs(address.sin_port);
    }
  }
  ~HeldPort() { close(socket_); }
  HeldPort(const HeldPort&) = delete;
  HeldPort& operator=(const HeldPort&) = delete;
  int number() const { return number_; }

 private:
  int socket_, number_ = 0;
};

TEST_F(LanguageModel, IsTrainedUnderTorchrunWhichHoldsItsPort) {
  const HeldPort port;
  ASSERT_GT(port.number(), 0);
  const auto surroundings = [&](const char* rank) {
    return here({"WORLD_SIZE=2", std::string("RANK=") + rank, "MASTER_ADDR=127.0.0.1",
                 "MASTER_PORT=" + std::to_string(port.number()), "TORCHELASTIC_USE_AGENT_STORE=True"});
  };
  const Words words = training("run", {"--threads", "1"});
  Running other(polariscope_command(words), surroundings("1"));
  const Outcome first = polariscope_run(words, surroundings("0"));
  EXPECT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(other.wait().code, 0);
  EXPECT_EQ(losses_of(at("run/metrics.jsonl")).size(), 6U);
}

TEST_F(LanguageModel, OnProcessesThatCannotShareABatchIsRefused) {
  const Outcome outcome = run(training("run", {"--processes", "3"}));
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("3 processes must share 4 sequences"), std::string::npos) << outcome.err;
  EXPECT_FALSE(fs::exists(at("run")));
  const Outcome half = polariscope_run(training("run"), here({"RANK=1", "WORLD_SIZE=2"}));
  EXPECT_EQ(half.code, 2);
  EXPECT_NE(half.err.find("MASTER_ADDR"), std::string::npos) << half.err;
}

TEST_F(LanguageModel, IsRefusedInOneSentence) {
  const auto refused = [&](const Words& words, const Words& said) { expect_refused(words, said); };
  refused({"train", "--task", "language-model", "--out", "run"}, {"needs data", "polariscope tokenize", "example"});
  refused({"train", "--task", "language-model", "--data", "nothing", "--out", "run"}, {"nothing", "index.json"});
  refused({"train", "--task", "language-model", "--data", "example", "--model", "llama-2b", "--out", "run"},
          {"llama-2b", "llama-1b"});
  refused({"train", "--task", "language-model", "--data", "example", "--heads", "3", "--out", "run"},
          {"--heads has no meaning for language-model"});
  refused({"export", "nothing", "--out", "model"}, {"nothing"});
}

TEST_F(LanguageModel, OfAnotherTrainingIsNotExported) {
  ASSERT_EQ(run({"train", "--task", "induction", "--training-sequences", "16", "--epochs", "1", "--width", "16",
                 "--heads", "2", "--layers", "1", "--out", "run", "--quiet"})
                .code,
            0);
  const Outcome outcome = run({"export", "run", "--out", "model"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("is of no language model"), std::string::npos) << outcome.err;
  EXPECT_FALSE(fs::exists(at("model")));
}

}  // namespace
}  // namespace polariscope::testing
