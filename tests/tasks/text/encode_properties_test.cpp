// What holds for any text: ids and back, unsound UTF-8, long runs, many threads, files of more than one kind.
#include "golden_tokenizers.h"
#include "polariscope/base/files.h"
#include "polariscope/base/random.h"
#include "polariscope/tasks/text/internal/utf8.h"
#include "polariscope/tasks/text/tokenizer.h"
#include "support/complaint.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <thread>

namespace polariscope::tasks::text {
namespace {

using polariscope::testing::complaint_of;
using polariscope::testing::TemporaryFolder;
using testing::golden_tokenizer;
using Ids = std::vector<std::int32_t>;

TEST(Encode, BytesComeBackAsTheyWere) {
  const Tokenizer tokenizer = golden_tokenizer("bytes");
  constexpr std::uint64_t kSeed = 16;
  RandomStream random(kSeed, 1);
  for (int round = 0; round < 200; ++round) {
    std::string bytes(random.below(200), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random.below(256));
    std::string storage;
    const std::string sound(sound_utf8(bytes, storage));
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(bytes)), sound) << "seed " << kSeed << ", round " << round;
    EXPECT_EQ(tokenizer.encode(bytes), tokenizer.encode(sound));
  }
}

// Expectations: bytes.decode(errors="replace") of Python 3.11.
TEST(Encode, UnsoundUtf8IsReadAsPythonReplacesIt) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"a\xFFz", "a\uFFFDz"},       {"\xC3", "\uFFFD"},
      {"\xC3(", "\uFFFD("},         {"\xE2\x82", "\uFFFD"},
      {"\xE2\x82z", "\uFFFDz"},     {"\xF0\x9F\x8E", "\uFFFD"},
      {"\xF0\x9Fz", "\uFFFDz"},     {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},
      {"\xC0\xAF", "\uFFFD\uFFFD"}, {"\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},
      {"\x80\xBF", "\uFFFD\uFFFD"}, {"\xE2\x82\xAC\xE2\x82", "\u20AC\uFFFD"},
  };
  const Tokenizer tokenizer = golden_tokenizer("bytes");
  for (const auto& [bytes, sound] : cases) EXPECT_EQ(tokenizer.decode(tokenizer.encode(bytes)), sound);
}

// A square of a mebibyte would be an hour.
TEST(Encode, ALongRunOfOneLetterTakesNoSquare) {
  for (const char* name : {"bytes", "wide", "Llama 2's", "unigram", "BERT's", "a prefix"}) {
    const Tokenizer tokenizer = golden_tokenizer(name);
    for (const char* unit : {"a", " ", "to", "é"}) {
      std::string text;
      while (text.size() < std::size_t{1} << 20) text += unit;
      const auto begin = std::chrono::steady_clock::now();
      const Ids ids = tokenizer.encode(text, SpecialTokens::kNone);
      const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
      EXPECT_LE(ids.size(), text.size());
      EXPECT_LT(time.count(), 20) << name << ": a mebibyte of \"" << unit << "\"";
    }
  }
}

TEST(Encode, ManyThreadsGetTheSameIds) {
  const Tokenizer tokenizer = golden_tokenizer("Llama 2's");
  std::string text;
  for (int i = 0; i < 2000; ++i) text += "token number " + std::to_string(i) + " of the head, naïve.\n";
  const Ids expected = tokenizer.encode(text);
  std::vector<Ids> results(4);
  std::vector<std::thread> threads;
  for (Ids& result : results) threads.emplace_back([&] { result = tokenizer.encode(text); });
  for (std::thread& thread : threads) thread.join();
  for (const Ids& result : results) EXPECT_EQ(result, expected);
}

TEST(Encode, TextsOfTokensAreReadable) {
  const Tokenizer bytes = golden_tokenizer("bytes");
  EXPECT_EQ(bytes.text_of(bytes.find("Ċ").value()), "\\n");
  EXPECT_EQ(bytes.text_of(bytes.find("Ġthe").value()), " the");
  EXPECT_EQ(bytes.text_of(bytes.find("Ã").value()), "\\xC3");
  EXPECT_EQ(bytes.text_of(bytes.size()), "");
  EXPECT_EQ(bytes.text_of(-1), "");
  const Tokenizer llama = golden_tokenizer("Llama 2's");
  EXPECT_EQ(llama.text_of(llama.find("<0x0A>").value()), "\\n");
  EXPECT_EQ(llama.text_of(llama.find("▁the").value()), " the");
  EXPECT_EQ(llama.text_of(llama.bos().value()), "<s>");
  EXPECT_TRUE(llama.is_special(llama.bos().value()));
  EXPECT_EQ(complaint_of([&] {
              (void)llama.decode(Ids{0, 9999});
            }),
            "token 1 of 2 has number 9999: the tokenizer has none with it");
}

TEST(Encode, DescriptionsTellTokenizersApart) {
  const Tokenizer llama = golden_tokenizer("Llama 2's");
  const std::string text = llama.describe();
  EXPECT_TRUE(text.starts_with("BPE, ")) << text;
  EXPECT_NE(text.find("normalizer Sequence(Prepend, Replace), pre-tokenizer none"), std::string::npos) << text;
  EXPECT_NE(text.find("before a text <s>, after it </s>"), std::string::npos) << text;
  EXPECT_NE(llama.fingerprint(), golden_tokenizer("bytes").fingerprint());
}

const char* const kWords = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\nhead\n##s\n.\nCaf\ncafe\n";

TEST(Files, AWordListIsBertsTokenizer) {
  const TemporaryFolder folder;
  write_file(folder.path() / "vocab.txt", kWords);
  const Tokenizer lower = Tokenizer::open(folder.path());
  EXPECT_EQ(lower.encode("The HEADs. Café"), (Ids{2, 5, 6, 7, 8, 10, 3}));
  EXPECT_EQ(lower.encode("[MASK] unknown", SpecialTokens::kNone), (Ids{4, 1}));
  EXPECT_EQ(lower.decode(Ids{5, 6, 7, 8}), "the heads.");
  write_file(folder.path() / "tokenizer_config.json", R"({"do_lower_case": false, "pad_token": "[PAD]"})");
  const Tokenizer cased = Tokenizer::open(folder.path() / "vocab.txt");
  EXPECT_EQ(cased.encode("The the", SpecialTokens::kNone), (Ids{1, 5}));
  EXPECT_EQ(cased.pad(), 0);
}

TEST(Files, ATokenizersConfigurationSaysWhatIsPutAroundATextAndWhatItAdds) {
  const TemporaryFolder folder;
  write_file(folder.path() / "vocab.json", R"({"a": 0, "b": 1, "ab": 2, "<|endoftext|>": 3})");
  write_file(folder.path() / "merges.txt", "#version: 0.2\na b\n");
  EXPECT_EQ(Tokenizer::open(folder.path()).encode("abba"), (Ids{2, 1, 0}));
  write_file(
      folder.path() / "tokenizer_config.json",
      R"({"add_bos_token": true, "bos_token": {"content": "<|endoftext|>"}, "tokenizer_class": "GPT2TokenizerFast",
                 "added_tokens_decoder": {"4": {"content": "<more>", "special": true}}})");
  const Tokenizer tokenizer = Tokenizer::open(folder.path());
  EXPECT_EQ(tokenizer.encode("ab<more>a"), (Ids{3, 2, 4, 0}));
  EXPECT_EQ(tokenizer.size(), 5);
  write_file(folder.path() / "tokenizer_config.json", R"({"tokenizer_class": "CLIPTokenizer"})");
  EXPECT_NE(complaint_of([&] {
              (void)Tokenizer::open(folder.path());
            }).find("how \"CLIPTokenizer\" cuts text is not known here"),
            std::string::npos);
}

TEST(Files, WhatIsNoTokenizerIsRefused) {
  const TemporaryFolder folder;
  EXPECT_NE(complaint_of([&] { (void)Tokenizer::open(folder.path()); }).find("holds no tokenizer"), std::string::npos);
  EXPECT_NE(complaint_of([&] { (void)Tokenizer::open(folder.path() / "none.json"); }).find("there is no such file"),
            std::string::npos);
}

}  // namespace
}  // namespace polariscope::tasks::text
