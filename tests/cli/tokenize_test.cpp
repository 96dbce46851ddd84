// polariscope tokenize as its users meet it: what it prints and makes, and every mistake in one sentence.
#include "command.h"
#include "polariscope/base/files.h"
#include "support/small_disk.h"
#include "support/temporary_folder.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

namespace polariscope::testing {
namespace {

namespace fs = std::filesystem;

// A folder with texts and a tokenizer of seven words.
class TokenizeCommand : public ::testing::Test {
 protected:
  TokenizeCommand() {
    write_file(folder_.path() / "vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\nhead\n");
    write_file(folder_.path() / "text.txt", "The head\n");
    write_file(folder_.path() / "texts.jsonl", "{\"text\": \"the\"}\n{\"text\": \"head\"}\n");
  }
  std::string at(const std::string& name) const { return (folder_.path() / name).string(); }
  std::vector<std::string> command(const std::string& text, std::vector<std::string> more = {}) const {
    std::vector<std::string> words{"tokenize",  text == "-" ? text : at(text), "--tokenizer", at("vocab.txt"), "--out",
                                   at("tokens")};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  void refuse(const std::vector<std::string>& arguments, const std::vector<std::string>& words) const {
    const std::string before = listing(folder_.path());
    expect_refused(arguments, words);
    EXPECT_EQ(listing(folder_.path()), before);
  }

  TemporaryFolder folder_;
};

TEST_F(TokenizeCommand, MakesShardsAndSaysWhatIsInThem) {
  const Outcome outcome = polariscope_run(command("texts.jsonl"));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  const auto lines = lines_of(outcome.out);
  ASSERT_EQ(lines.size(), 4U) << outcome.out;
  EXPECT_EQ(lines[0], "3 tokens of 2 documents, 2.33 bytes a token, vocabulary of 7");
  EXPECT_EQ(lines[1], "between documents: [SEP]");
  EXPECT_NE(lines[2].find("1 shard of 16-bit numbers, fingerprint "), std::string::npos);
  EXPECT_NE(lines[3].find("MB/s"), std::string::npos);
  EXPECT_EQ(bytes_of(folder_.path() / "tokens" / "tokens-00000.bin"), std::string("\5\0\3\0\6\0", 6));
}

TEST_F(TokenizeCommand, PrintsItsIndexAsJson) {
  const Outcome outcome = polariscope_run(command("text.txt", {"--json"}));
  nlohmann::json printed = nlohmann::json::parse(outcome.out);
  EXPECT_GT(printed.at("seconds"), 0.0);
  printed.erase("seconds");
  EXPECT_EQ(printed, nlohmann::json::parse(bytes_of(folder_.path() / "tokens" / "index.json")));
  EXPECT_EQ(printed["tokens"], 2);
  EXPECT_EQ(printed["numbers"], "uint16");
}

TEST_F(TokenizeCommand, ReadsStandardInput) {
  Surroundings piped;
  piped.input = "{\"body\": \"the head\"}\n";
  EXPECT_EQ(polariscope_run(command("-", {"--format", "jsonl", "--field", "body"}), piped).code, 0);
  EXPECT_EQ(bytes_of(folder_.path() / "tokens" / "tokens-00000.bin"), std::string("\5\0\6\0", 4));
}

TEST_F(TokenizeCommand, NumPyReadsItsShardsAsTheDocsShow) {
  if (Running({"/usr/bin/python3", "-c", "import numpy"}).wait().code != 0) GTEST_SKIP() << "python3 has no NumPy";
  ASSERT_EQ(polariscope_run(command("texts.jsonl", {"--shard-tokens", "2"})).code, 0);
  const Outcome outcome =
      Running({"/usr/bin/python3", POLARISCOPE_SOURCE_DIR "/examples/read_tokens.py", at("tokens")}).wait();
  EXPECT_EQ(outcome.out, "3 tokens of 7, the first: [5, 3]\n") << outcome.err;
}

TEST_F(TokenizeCommand, KeepsWhatIsThereAlreadyAndReplacesItOnlyWhenTold) {
  ASSERT_EQ(polariscope_run(command("text.txt")).code, 0);
  const std::string before = listing(folder_.path());
  const Outcome again = polariscope_run(command("text.txt"));
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_TRUE(again.out.starts_with("nothing to do: ")) << again.out;
  EXPECT_EQ(listing(folder_.path()), before);
  refuse(command("texts.jsonl"), {"--out", "another text", "--overwrite"});
  refuse(command("-"), {"--out", "another text"});
  const Outcome over = polariscope_run(command("texts.jsonl", {"--overwrite"}));
  EXPECT_EQ(over.code, 0) << over.err;
  EXPECT_EQ(bytes_of(folder_.path() / "tokens" / "tokens-00000.bin").size(), 6U);
  // A shard that was changed since is not what was asked for.
  write_bytes(folder_.path() / "tokens" / "tokens-00000.bin", std::string("\5\0\3\0\5\0", 6));
  refuse(command("texts.jsonl"), {"tokens-00000.bin", "fingerprint", "changed"});
  fs::create_directory(folder_.path() / "other");
  write_file(folder_.path() / "other" / "notes", "mine");
  refuse({"tokenize", at("text.txt"), "--tokenizer", "bytes", "--out", at("other"), "--overwrite"},
         {"--out", "something else"});
}

TEST_F(TokenizeCommand, SaysWhatIsWrong) {
  write_file(folder_.path() / "bad.jsonl", "{\"text\": \"the\"}\n{\"text\": 3}\n");
  refuse(command("bad.jsonl"), {"bad.jsonl, line 2", "expected a text"});
  refuse(command("none.txt"), {"none.txt", "No such file"});
  refuse(command("text.txt", {"--format", "jsn"}), {"--format", "jsn", "jsonl"});
  refuse(command("text.txt", {"--threads", "-1"}), {"--threads"});
  refuse(command("text.txt", {"--shard-tokens", "0"}), {"--shard-tokens"});
  refuse({"tokenize", at("text.txt"), "--tokenizer", at("none"), "--out", at("tokens")}, {"--tokenizer", "none"});
  refuse({"tokenize", at("text.txt"), "--out", at("tokens")}, {"--tokenizer"});
  refuse({"tokenize", at("text.txt"), "--tokenizer", "bytes", "--out", at("text.txt")}, {"--out", "no folder"});
}

TEST_F(TokenizeCommand, AFullDiskIsNamedAndNothingIsLeft) {
  const SmallDisk disk(256);
  if (!disk.unavailable().empty()) GTEST_SKIP() << disk.unavailable();
  write_file(folder_.path() / "long.txt", std::string(1 << 20, 'x'));
  const Outcome outcome =
      polariscope_run({"tokenize", at("long.txt"), "--tokenizer", "bytes", "--out", (disk.path() / "tokens").string()});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(lines_of(outcome.err).size(), 1U) << outcome.err;
  for (const char* words : {"tokens-00000.bin", "No space left on device"}) {
    EXPECT_NE(outcome.err.find(words), std::string::npos) << outcome.err;
  }
  EXPECT_TRUE(fs::is_empty(disk.path()));
}

TEST_F(TokenizeCommand, AnInterruptLeavesNothing) {
  ASSERT_EQ(mkfifo(at("pipe").c_str(), 0600), 0);
  const int held = open(at("pipe").c_str(), O_RDWR);  // so that its reader waits for more
  ASSERT_EQ(write(held, "The head\n", 9), 9);
  const auto has_begun = [&] {
    return std::ranges::any_of(fs::directory_iterator(folder_.path()),
                               [](const auto& entry) { return entry.path().extension() == ".partial"; });
  };
  for (const int signal : {SIGINT, SIGTERM}) {
    Running running(polariscope_command(command("pipe")));
    while (!has_begun() && !running.ended()) usleep(1000);
    running.send(signal);
    const Outcome outcome = running.wait();
    EXPECT_EQ(outcome.code, 130);
    EXPECT_EQ(outcome.err, "polariscope: interrupted\n");
    EXPECT_EQ(entries(folder_.path()), 4) << listing(folder_.path());
  }
  close(held);
}

}  // namespace
}  // namespace polariscope::testing
