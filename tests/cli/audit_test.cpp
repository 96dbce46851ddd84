// polariscope audit as its users meet it: what it prints and writes, and every mistake in one sentence.
#include "command.h"
#include "models/pretrained/tiny_checkpoint.h"
#include "polariscope/base/files.h"
#include "polariscope/base/safetensors.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include <cmath>
#include <csignal>
#include <string>
#include <vector>

namespace polariscope::testing {
namespace {

// A safetensors file of 16-bit zeros that takes no place on the disk.
class SparseTensors {
 public:
  void add(const std::string& name, const std::vector<std::int64_t>& shape) {
    std::int64_t bytes = 2;
    for (const std::int64_t size : shape) bytes *= size;
    header_[name] = {{"dtype", "F16"}, {"shape", shape}, {"data_offsets", {end_, end_ + bytes}}};
    end_ += bytes;
  }
  void write(const std::filesystem::path& path) const {
    const std::string header = header_.dump();
    std::string start(8, '\0');
    for (std::size_t i = 0; i < 8; ++i) start[i] = static_cast<char>(header.size() >> (8 * i));
    write_file(path, start + header);
    std::filesystem::resize_file(path, start.size() + header.size() + static_cast<std::size_t>(end_));
  }

 private:
  nlohmann::json header_ = nlohmann::json::object();
  std::int64_t end_ = 0;
};

// A folder with a model of five tokens and files of ids and text beside it.
class AuditCommand : public ::testing::Test {
 protected:
  AuditCommand() {
    TinyTensors tensors = tiny_llama_tensors();
    for (auto& [name, tensor] : tensors) {
      for (float& number : tensor.numbers) number = std::sin(12.9898F * number + 78.233F);
    }
    std::filesystem::create_directory(folder_.path() / "model");
    write_tiny(folder_.path() / "model", tiny_llama_config(), tensors);
    write_file(folder_.path() / "ids.json", "[[0, 1, 2, 3], [4, 0]]");
    write_file(folder_.path() / "text.txt", "Once upon a time");
  }
  std::string at(const std::string& name) const { return (folder_.path() / name).string(); }
  void refuse(std::vector<std::string> arguments, const std::vector<std::string>& words) const {
    arguments.insert(arguments.begin(), "audit");
    expect_refused(arguments, words);
  }
  void refuse_ids(const std::string& contents, const std::vector<std::string>& words) const {
    write_file(folder_.path() / "wrong.json", contents);
    refuse({at("model"), "--ids", at("wrong.json")}, words);
  }

  const TemporaryFolder folder_;
};

TEST_F(AuditCommand, PrintsTheHeadsThatAreFarthestFromUniform) {
  const Outcome outcome = polariscope_run({"audit", at("model"), "--ids", at("ids.json")});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("llama: 1 layers, width 4, vocabulary 5; 2 texts, 6 tokens"), std::string::npos);
  EXPECT_NE(outcome.out.find("nats per token"), std::string::npos);
  for (const std::string& line : lines_of(outcome.out)) EXPECT_LE(columns_of(line), 100);
}

TEST_F(AuditCommand, WritesRowsAndAReport) {
  const Outcome outcome = polariscope_run({"audit", at("model"), "--ids", at("ids.json"), "--arrays",
                                           at("rows.safetensors"), "--out", at("out"), "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const nlohmann::json printed = nlohmann::json::parse(outcome.out),
                       written = nlohmann::json::parse(read_file(at("out/audit.json")));
  EXPECT_EQ(printed, written);
  EXPECT_EQ(written["version"], 1);
  EXPECT_EQ(written["texts"].size(), 2U);
  EXPECT_EQ(written["nll"]["count"], 4);
  EXPECT_EQ(written["layers"][0]["heads"].size(), 2U);
  EXPECT_EQ(written["layers"][0]["heads"][0]["entropy"]["count"], 6);
  const nlohmann::json& head = written["layers"][0]["heads"][1];
  for (const char* name : {"flat_share", "sparsity", "logit_variance", "support", "query_norm", "first_value_ratio"}) {
    EXPECT_TRUE(head[name]["mean"].is_number()) << name;
  }
  EXPECT_EQ(head["received"].size(), 4U);
  EXPECT_EQ(head["relative_entropies"].size(), 20U);
  EXPECT_TRUE(head["beta"].is_null());
  EXPECT_EQ(written["layers"][0]["largest"].size(), 8U);
  EXPECT_EQ(written["summary"]["loss"], written["nll"]["mean"]);
  EXPECT_EQ(written["interrupted"], false);
  const Safetensors rows(at("rows.safetensors"));
  EXPECT_EQ(rows.find("entropy")->shape, (std::vector<std::int64_t>{2, 1, 2, 4}));
}

TEST_F(AuditCommand, RefusesWhatItCannotRead) {
  refuse({at("model")}, {"--text", "--ids"});
  refuse_ids(std::string(100'000, '[') + std::string(100'000, ']'), {"token 0 of text 0 is array"});
  refuse({"--text", at("text.txt")}, {"MODEL", "--example"});
  refuse({"--example", "--text", at("text.txt")}, {"--example", "leave out"});
  refuse({at("model"), "--ids", at("ids.json"), "--text", at("text.txt")}, {"--text and --ids are both given"});
  refuse({at("none"), "--ids", at("ids.json")}, {"none"});
  refuse({at("model"), "--ids", at("none.json")}, {"none.json"});
  refuse({at("model"), "--text", at("text.txt")}, {"tokenizer"});  // none lies with the model
  refuse({at("model"), "--ids", at("ids.json"), "--precision", "float8"}, {"--precision", "float8", "bfloat16"});
  refuse({at("model"), "--ids", at("ids.json"), "--threads", "-1"}, {"--threads"});
}

TEST_F(AuditCommand, HasAnExampleOfItsOwn) {
  const Outcome outcome = polariscope_run({"audit", "--example", "--context", "256", "--quiet"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("llama: 4 layers, width 64, vocabulary 512; 1 text, 256 tokens"), std::string::npos)
      << outcome.out;
  for (const std::string& line : lines_of(outcome.out)) EXPECT_LE(columns_of(line), 100);
}

TEST_F(AuditCommand, FailsOnLimitsThatArePassed) {
  const auto run = [&](const std::string& limit) {
    return polariscope_run({"audit", at("model"), "--ids", at("ids.json"), "--fail-on", limit, "--quiet"});
  };
  EXPECT_EQ(run("loss>1000").code, 0);
  const Outcome failed = run("loss>=0");
  EXPECT_EQ(failed.code, 1);
  EXPECT_NE(failed.err.find("loss is"), std::string::npos) << failed.err;
  EXPECT_NE(failed.out.find("nats per token"), std::string::npos);  // all is said before
  refuse({at("model"), "--ids", at("ids.json"), "--fail-on", "loss"}, {"--fail-on", "is no limit", "sink_heads>0.3"});
  refuse({at("model"), "--ids", at("ids.json"), "--fail-on", "sink_head>0.3"}, {"--fail-on", "sink_heads"});
}

TEST_F(AuditCommand, WritesAReportOfAllThatWasAskedFor) {
  const Outcome outcome = polariscope_run({"audit", "--example", "--context", "128", "--thorough", "--costs", "heads",
                                           "--what-if", "softmax1,temperature=2", "--out", at("out"), "--quiet"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("report: " + at("out/report.html")), std::string::npos);
  EXPECT_NE(outcome.out.find("with its own BOS"), std::string::npos);
  const nlohmann::json written = nlohmann::json::parse(read_file(at("out/audit.json")));
  EXPECT_EQ(written["costs"]["without_sinks"].size(), 5U);
  EXPECT_EQ(written["costs"]["without_heads"].size(), 16U);
  EXPECT_EQ(written["scores"][3].size(), 4U);
  EXPECT_EQ(written["query_key_norms"].size(), 4U);
  EXPECT_GE(written["first_tokens"].size(), 4U);
  EXPECT_EQ(written["what_if"][1]["name"], "softmax1");
  const std::string page = read_file(at("out/report.html"));
  for (const char* part : {"Audit of example", "Where the heads look", "Heads over the text", "Other first tokens",
                           "Without one head", "The same weights with other attention"}) {
    EXPECT_NE(page.find(part), std::string::npos) << part;
  }
  for (const std::string& line : lines_of(outcome.out)) EXPECT_LE(columns_of(line), 100) << line;
  // As its own config.toml has it.
  const Outcome again = polariscope_run({"audit", "--config", at("out/config.toml"), "--json", "--quiet"});
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(nlohmann::json::parse(again.out), written);
}

TEST_F(AuditCommand, ShowsModelsSideBySideAndKeepsEach) {
  std::filesystem::copy(at("model"), at("step-20"));
  std::filesystem::copy(at("model"), at("step-10"));
  const Outcome outcome = polariscope_run(
      {"audit", at("step-20"), at("step-10"), "--ids", at("ids.json"), "--out", at("out"), "--json", "--quiet"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(outcome.out).size(), 2U);
  EXPECT_EQ(nlohmann::json::parse(read_file(at("out/step-10/audit.json")))["model"], at("step-10"));
  EXPECT_NE(read_file(at("out/report.html")).find("Along training"), std::string::npos);
  refuse({at("step-20"), at("step-10"), "--ids", at("ids.json"), "--arrays", at("rows.safetensors")},
         {"--arrays", "2"});
}

TEST_F(AuditCommand, ComparesWithAnEarlierAudit) {
  const auto run = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"audit", at("model"), "--ids", at("ids.json"), "--quiet"});
    return polariscope_run(more);
  };
  ASSERT_EQ(run({"--out", at("before")}).code, 0);
  const Outcome same = run({"--baseline", at("before"), "--fail-on", "change_in_loss>1e-9", "--out", at("after")});
  EXPECT_EQ(same.code, 0) << same.err;
  EXPECT_NE(same.out.find("against the baseline"), std::string::npos);
  EXPECT_NE(same.out.find("no head's entropy changed"), std::string::npos);
  EXPECT_NE(read_file(at("after/report.html")).find("model (baseline)"), std::string::npos);
  const Outcome worse =
      run({"--baseline", at("before/audit.json"), "--precision", "float64", "--fail-on", "change_in_loss>=-1"});
  EXPECT_EQ(worse.code, 1);
  EXPECT_NE(worse.err.find("change_in_loss is"), std::string::npos) << worse.err;
  refuse({at("model"), "--ids", at("ids.json"), "--fail-on", "change_in_loss>0.1"}, {"--fail-on", "--baseline"});
  refuse({at("model"), "--ids", at("ids.json"), "--baseline", at("ids.json")},
         {"--baseline", "ids.json", "record of an audit"});
}

// 480 MB of zeros, of which the file system keeps none, by a process that may have 300 MB of its own.
TEST_F(AuditCommand, GoesThroughAModelThatIsLargerThanItsMemory) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers keep a memory of their own beside the process's";
#endif
  constexpr std::int64_t kWidth = 1024, kUnits = 4096, kLayers = 15, kVocabulary = 64;
  std::filesystem::create_directory(folder_.path() / "large");
  write_file(folder_.path() / "large/config.json", nlohmann::json{{"model_type", "gpt_neox"},
                                                                  {"vocab_size", kVocabulary},
                                                                  {"hidden_size", kWidth},
                                                                  {"intermediate_size", kUnits},
                                                                  {"num_hidden_layers", kLayers},
                                                                  {"num_attention_heads", 8},
                                                                  {"max_position_embeddings", 128},
                                                                  {"hidden_act", "gelu"},
                                                                  {"use_parallel_residual", true},
                                                                  {"rotary_pct", 0.25},
                                                                  {"layer_norm_eps", 1e-5},
                                                                  {"rotary_emb_base", 10000},
                                                                  {"tie_word_embeddings", false},
                                                                  {"attention_bias", true}}
                                                       .dump());
  SparseTensors tensors;
  const auto norm = [&](const std::string& name) {
    tensors.add(name + ".weight", {kWidth});
    tensors.add(name + ".bias", {kWidth});
  };
  const auto linear = [&](const std::string& name, std::int64_t outputs, std::int64_t inputs) {
    tensors.add(name + ".weight", {outputs, inputs});
    tensors.add(name + ".bias", {outputs});
  };
  tensors.add("gpt_neox.embed_in.weight", {kVocabulary, kWidth});
  tensors.add("embed_out.weight", {kVocabulary, kWidth});
  norm("gpt_neox.final_layer_norm");
  for (std::int64_t l = 0; l < kLayers; ++l) {
    const std::string layer = "gpt_neox.layers." + std::to_string(l) + ".";
    norm(layer + "input_layernorm");
    norm(layer + "post_attention_layernorm");
    linear(layer + "attention.query_key_value", 3 * kWidth, kWidth);
    linear(layer + "attention.dense", kWidth, kWidth);
    linear(layer + "mlp.dense_h_to_4h", kUnits, kWidth);
    linear(layer + "mlp.dense_4h_to_h", kWidth, kUnits);
  }
  tensors.write(folder_.path() / "large/model.safetensors");
  EXPECT_GT(std::filesystem::file_size(folder_.path() / "large/model.safetensors"), 370'000'000U);
  write_file(folder_.path() / "short.json", nlohmann::json(std::vector(2, std::vector(100, 7))).dump());
  Running running({"sh", "-c", "ulimit -d 300000; exec \"$0\" \"$@\"", polariscope_command({})[0], "audit", at("large"),
                   "--ids", at("short.json"), "--memory", "256MiB", "--threads", "2", "--json"});
  const Outcome outcome = running.wait();
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["layers"].size(), static_cast<std::size_t>(kLayers));
  refuse({at("large"), "--ids", at("short.json"), "--memory", "1MB"}, {"100 tokens", "one token needs"});
}

TEST_F(AuditCommand, CutsGivenTokensWhereAskedTo) {
  const Outcome outcome = polariscope_run({"audit", at("model"), "--ids", at("ids.json"), "--context", "3", "--quiet"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("2 texts, 5 tokens\n1 token was cut off"), std::string::npos) << outcome.out;
}

TEST_F(AuditCommand, RefusesTextsThatNeedMoreMemoryThanIsAllowed) {
  EXPECT_EQ(polariscope_run({"audit", at("model"), "--ids", at("ids.json"), "--memory", "1 GiB", "--quiet"}).code, 0);
  write_file(folder_.path() / "long.json", nlohmann::json(std::vector(1, std::vector(1'000'000, 1))).dump());
  refuse({at("model"), "--ids", at("long.json"), "--memory", "200MB"}, {"1000000 tokens needs", "cut the texts after"});
  for (const char* wrong : {"4", "GiB", "4 giraffes", "-1GB", "nan", "1e99GB"}) {
    refuse({at("model"), "--ids", at("ids.json"), "--memory", wrong}, {"--memory"});
  }
}

TEST_F(AuditCommand, WritesOverNothingThatIsReadOrWrittenBesides) {
  const std::string before = read_file(at("model/model.safetensors"));
  refuse({at("model"), "--ids", at("ids.json"), "--arrays", at("ids.json")}, {"--arrays", "among what is read"});
  refuse({at("model"), "--ids", at("ids.json"), "--arrays", at("model/model.safetensors")}, {"among what is read"});
  refuse({at("model"), "--ids", at("ids.json"), "--out", at("o"), "--arrays", at("o/audit.json")}, {"--out writes"});
  EXPECT_EQ(read_file(at("model/model.safetensors")), before);
  ASSERT_EQ(mkfifo(at("pipe").c_str(), 0600), 0);
  const Outcome pipe =
      polariscope_run({"audit", at("model"), "--ids", at("ids.json"), "--arrays", at("pipe"), "--quiet"});
  EXPECT_EQ(pipe.code, 2);
  EXPECT_NE(pipe.err.find("no file but a device"), std::string::npos) << pipe.err;
  EXPECT_TRUE(std::filesystem::is_fifo(at("pipe")));
}

TEST_F(AuditCommand, ThatFailsLeavesItsFolderForTheNextAttempt) {
  write_file(folder_.path() / "wrong.json", "[[0, 99]]");
  const auto run = [&](const std::string& ids) {
    return polariscope_run({"audit", at("model"), "--ids", ids, "--out", at("out"), "--quiet"});
  };
  EXPECT_EQ(run(at("wrong.json")).code, 2);
  EXPECT_EQ(run(at("ids.json")).code, 0);
}

TEST_F(AuditCommand, KeepsModelsOfOneNameApart) {
  std::filesystem::create_directories(at("other"));
  std::filesystem::copy(at("model"), at("other/model"));
  const Outcome outcome = polariscope_run({"audit", at("model"), at("other/model"), at("other/../model"), "--ids",
                                           at("ids.json"), "--out", at("out"), "--quiet"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  for (const char* name : {"model", "model-2", "model-3"}) {
    EXPECT_TRUE(std::filesystem::exists(folder_.path() / "out" / name / "audit.json")) << name;
  }
  EXPECT_TRUE(std::filesystem::exists(at("out/report.html")));
  // A name that leads upwards stays inside.
  Surroundings inside;
  inside.folder = folder_.path() / "model";
  const Outcome upwards =
      polariscope_run({"audit", "../model", ".", "--ids", at("ids.json"), "--out", at("up/deep"), "--quiet"}, inside);
  ASSERT_EQ(upwards.code, 0) << upwards.err;
  EXPECT_FALSE(std::filesystem::exists(at("up/audit.json")));
}

TEST_F(AuditCommand, SaysWhatOddTextsCannotTell) {
  write_file(folder_.path() / "one.json", "[[1], [2]]");
  const Outcome outcome = polariscope_run(
      {"audit", at("model"), "--ids", at("one.json"), "--costs", "heads", "--out", at("out"), "--quiet"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("2 texts, 2 tokens"), std::string::npos);
  EXPECT_NE(outcome.out.find("no row sees two tokens"), std::string::npos) << outcome.out;
  EXPECT_EQ(outcome.out.find("nan"), std::string::npos) << outcome.out;
}

TEST_F(AuditCommand, ComparesWithNoInterruptedAuditAndNamesWhatDiffers) {
  ASSERT_EQ(polariscope_run({"audit", at("model"), "--ids", at("ids.json"), "--out", at("before"), "--quiet"}).code, 0);
  nlohmann::json before = nlohmann::json::parse(read_file(at("before/audit.json")));
  before["interrupted"] = true;
  write_file(folder_.path() / "cut.json", before.dump());
  refuse({at("model"), "--ids", at("ids.json"), "--baseline", at("cut.json")}, {"--baseline", "interrupted"});
  before["interrupted"] = false;
  before["nll"] = 3;
  write_file(folder_.path() / "cut.json", before.dump());
  refuse({at("model"), "--ids", at("ids.json"), "--baseline", at("cut.json")}, {"cut.json", "no complete audit"});
  write_file(folder_.path() / "other.json", "[[0, 1]]");
  const Outcome other = polariscope_run({"audit", at("model"), "--ids", at("other.json"), "--precision", "float64",
                                         "--baseline", at("before"), "--quiet"});
  EXPECT_EQ(other.code, 0) << other.err;
  EXPECT_NE(other.out.find("beware: it is of another precision, texts"), std::string::npos) << other.out;
}

TEST_F(AuditCommand, RefusesWhatItCannotVary) {
  refuse({at("model"), "--ids", at("ids.json"), "--first-tokens"}, {"--first-tokens", "--text"});
  refuse({at("model"), "--ids", at("ids.json"), "--costs", "all"}, {"--costs", "layers or heads"});
  refuse({at("model"), "--ids", at("ids.json"), "--what-if", "softmax1,,sink=1"}, {"--what-if", "nothing between"});
  refuse({at("model"), "--ids", at("ids.json"), "--what-if", "softmax1,"}, {"--what-if", "last comma"});
  for (const char* wrong : {"-1", "nan", "1.5"}) {
    refuse({at("model"), "--ids", at("ids.json"), "--context", wrong}, {"--context"});
  }
  refuse({at("model"), "--ids", at("ids.json"), "--what-if", "softmax2"}, {"--what-if", "softmax2", "temperature=T"});
}

TEST_F(AuditCommand, ThatIsInterruptedSaysSoAndKeepsWhatItHas) {
  nlohmann::json texts = nlohmann::json::array();
  for (int text = 0; text < 4000; ++text) texts.push_back(std::vector<int>(600, text % 5));
  write_file(folder_.path() / "many.json", texts.dump());
  Running running(polariscope_command({"audit", at("model"), "--ids", at("many.json"), "--out", at("out"), "--quiet"}));
  wait_for(folder_.path() / "out" / "config.toml", running);
  running.send(SIGINT);
  const Outcome outcome = running.wait();
  EXPECT_EQ(outcome.code, 130) << outcome.err;
  EXPECT_NE(outcome.err.find("interrupted"), std::string::npos) << outcome.err;
  const nlohmann::json written = nlohmann::json::parse(read_file(at("out/audit.json")));
  EXPECT_EQ(written["interrupted"], true);
  EXPECT_EQ(written["given_texts"], 4000);
  EXPECT_NE(outcome.out.find("The audit was interrupted: "), std::string::npos) << outcome.out;
  EXPECT_NE(read_file(at("out/report.html")).find("The audit was interrupted"), std::string::npos);
}

TEST_F(AuditCommand, RefusesIdsThatAreNone) {
  refuse_ids("{", {"wrong.json", "list of lists"});
  refuse_ids("[1, 2]", {"text 0 is no list"});
  refuse_ids("[[0, 1.5]]", {"token 1 of text 0 is 1.5", "whole number"});
  refuse_ids("[[0, 99999999999]]", {"token 1 of text 0"});
  refuse_ids("[[0, 5]]", {"token 1 of text 0 is 5", "0 to 4"});
  refuse_ids("[[]]", {"text 0 has no tokens"});
  refuse_ids("[]", {"no text"});
}

}  // namespace
}  // namespace polariscope::testing
