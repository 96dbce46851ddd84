// polariscope audit as its users meet it: what it prints and writes, and every mistake in one sentence.
#include "command.h"
#include "models/pretrained/tiny_checkpoint.h"
#include "polariscope/base/files.h"
#include "polariscope/base/safetensors.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <string>
#include <vector>

namespace polariscope::testing {
namespace {

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
  const Safetensors rows(at("rows.safetensors"));
  EXPECT_EQ(rows.find("entropy")->shape, (std::vector<std::int64_t>{2, 1, 2, 4}));
}

TEST_F(AuditCommand, RefusesWhatItCannotRead) {
  refuse({at("model")}, {"--text", "--ids"});
  refuse({at("model"), "--ids", at("ids.json"), "--text", at("text.txt")}, {"either --text", "or --ids"});
  refuse({at("none"), "--ids", at("ids.json")}, {"none"});
  refuse({at("model"), "--ids", at("none.json")}, {"none.json"});
  refuse({at("model"), "--text", at("text.txt")}, {"tokenizer"});  // none lies with the model
  refuse({at("model"), "--ids", at("ids.json"), "--precision", "float8"}, {"--precision", "float8", "bfloat16"});
  refuse({at("model"), "--ids", at("ids.json"), "--threads", "-1"}, {"--threads"});
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
