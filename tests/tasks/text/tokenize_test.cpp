// Texts to token shards: the same tokens for any size of piece and any number of threads, what counts as a document,
// what is refused, and how much memory it takes.
#include "polariscope/tasks/text/tokenize.h"

#include "golden_tokenizers.h"
#include "polariscope/base/files.h"
#include "polariscope/base/random.h"
#include "polariscope/tasks/text/token_shards.h"
#include "support/complaint.h"
#include "support/outside_data.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>

namespace polariscope::tasks::text {
namespace {

namespace fs = std::filesystem;

using polariscope::testing::complaint_of;
using polariscope::testing::entries;
using polariscope::testing::outside_data;
using polariscope::testing::TemporaryFolder;
using testing::golden;
using testing::golden_tokenizer;

// Lines of words, numbers, quotations, other scripts, runs of spaces and lines that do not end.
std::string mixed_text(std::size_t bytes) {
  const auto texts = golden()["texts"].get<std::vector<std::string>>();
  const std::vector<std::string> words{"the",   "head", "attends", "to",      "a",    "token", "it's",
                                       "Don't", "1234", "naïve",   "entropy", "42.5", "x²",    "(softmax)"};
  RandomStream random(11, 3);
  std::string text;
  while (text.size() < bytes) {
    if (random.below(40) == 0) text += texts[random.below(texts.size())];
    text += words[random.below(words.size())];
    text += random.below(12) == 0 ? "\n" : random.below(40) == 0 ? ".\n\n" : random.below(50) == 0 ? "   " : " ";
  }
  return text;
}

TokenIndex tokenized(const TokenizeOptions& options, const TextEncoder& encoder, const fs::path& folder) {
  Progress nobody;
  return tokenize(options, encoder, folder, nobody);
}

std::vector<std::int32_t> tokens_of(const fs::path& folder) {
  const TokenShards shards(folder);
  shards.verify();
  std::vector<std::int64_t> tokens(static_cast<std::size_t>(shards.size()));
  shards.read(0, tokens);
  return {tokens.begin(), tokens.end()};
}

std::vector<std::int32_t> encoded_whole(const TextEncoder& encoder, const std::string& text) {
  std::vector<std::int32_t> ids;
  encoder.encode(text, ids);
  return ids;
}

std::string all_bytes(const fs::path& folder) {
  std::string bytes;
  for (const TokenIndex::Shard& shard : read_token_index(folder).shards) bytes += read_file(folder / shard.file);
  return bytes + read_file(folder / "index.json");
}

TEST(Tokenize, PiecesHaveTheTokensOfTheWholeForEveryTokenizer) {
  const TemporaryFolder folder;
  const std::string text = mixed_text(60'000);
  write_file(folder.path() / "text.txt", text);
  TokenizeOptions options{.input = (folder.path() / "text.txt").string()};
  std::map<std::string, nlohmann::json> earlier;
  for (const auto& entry : golden()["tokenizers"]) {
    const std::string name = entry["name"];
    const TextEncoder encoder(Tokenizer::from_json(testing::description_of(entry, earlier).dump(), name));
    const std::vector<std::int32_t> whole = encoded_whole(encoder, text);
    for (const std::size_t piece : {1024, 1500, 5000}) {
      options.piece_bytes = piece;
      const TokenIndex index = tokenized(options, encoder, folder.path() / "tokens");
      EXPECT_EQ(index.rough_cuts, 0) << name << ", pieces of " << piece;
      EXPECT_TRUE(tokens_of(folder.path() / "tokens") == whole) << name << ", pieces of " << piece;
      EXPECT_EQ(index.bytes, std::ssize(text));
      EXPECT_EQ(index.documents, 1);
    }
  }
}

// The same of what others published, over articles.
TEST(Tokenize, PiecesHaveTheTokensOfTheWholeForPublishedTokenizers) {
  const fs::path articles = outside_data("text/wikitext-2/valid.txt");
  if (articles.empty()) GTEST_SKIP() << "text/wikitext-2 is not in POLARISCOPE_DATA";
  const std::string text = read_file(articles).substr(0, 300'000);
  const TemporaryFolder folder;
  write_file(folder.path() / "text.txt", text);
  TokenizeOptions options{.input = (folder.path() / "text.txt").string()};
  int found = 0;
  for (const char* name : {"gpt2", "gpt-neox", "llama2", "llama2/tokenizer.bin"}) {
    const fs::path path = outside_data(std::string("tokenizers/") + name);
    if (path.empty()) continue;
    ++found;
    const TextEncoder encoder(Tokenizer::open(path));
    const std::vector<std::int32_t> whole = encoded_whole(encoder, text);
    for (const std::size_t piece : {1024, 2500}) {
      options.piece_bytes = piece;
      EXPECT_EQ(tokenized(options, encoder, folder.path() / "tokens").rough_cuts, 0) << name;
      EXPECT_TRUE(tokens_of(folder.path() / "tokens") == whole) << name << ", pieces of " << piece;
    }
  }
  if (found == 0) GTEST_SKIP() << "tokenizers/ is not in POLARISCOPE_DATA";
}

// Digits in groups of three from the last one on: where a number of 20,000 ends decides of all its tokens.
const char* const kGroups = R"json({
  "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
  "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "\\d{1,3}(?=(?:\\d{3})*(?!\\d))"}, "behavior": "Isolated",
                    "invert": false},
  "post_processor": null, "decoder": null,
  "model": {"type": "WordLevel", "vocab": {"123": 0, "231": 1, "312": 2, "?": 3}, "unk_token": "?"}})json";

TEST(Tokenize, ACutThatMayChangeTokensIsCounted) {
  const TemporaryFolder folder;
  std::string text;
  while (text.size() < 20'000) text += "123";
  write_file(folder.path() / "text.txt", text);
  const TextEncoder encoder(Tokenizer::from_json(kGroups, "groups"));
  TokenizeOptions options{.input = (folder.path() / "text.txt").string()};
  options.piece_bytes = 2000;
  const TokenIndex index = tokenized(options, encoder, folder.path() / "tokens");
  EXPECT_EQ(index.rough_cuts, 9);
  EXPECT_EQ(read_token_index(folder.path() / "tokens").rough_cuts, 9);
}

TEST(Tokenize, BytesAreTheirOwnTokens) {
  const TemporaryFolder folder;
  std::string text = mixed_text(5000) + std::string("\0\xFF\x80", 3);
  write_file(folder.path() / "text.txt", text);
  TokenizeOptions options{.input = (folder.path() / "text.txt").string()};
  options.piece_bytes = 1024;
  const TokenIndex index = tokenized(options, TextEncoder::of_bytes(), folder.path() / "tokens");
  EXPECT_EQ(index.vocabulary, 256);
  const auto tokens = tokens_of(folder.path() / "tokens");
  ASSERT_EQ(tokens.size(), text.size());
  for (std::size_t i = 0; i < text.size(); ++i) ASSERT_EQ(tokens[i], static_cast<unsigned char>(text[i]));
}

TEST(Tokenize, ThreadsAndSizesOfPiecesChangeNoByteAndShardsNoToken) {
  const TemporaryFolder folder;
  write_file(folder.path() / "text.txt", mixed_text(300'000));
  const TextEncoder encoder(golden_tokenizer("bytes"));
  TokenizeOptions options{.input = (folder.path() / "text.txt").string()};
  options.threads = 1;
  tokenized(options, encoder, folder.path() / "one");
  for (const int threads : {2, 5}) {
    options.threads = threads;
    options.piece_bytes = 1024 * static_cast<std::size_t>(threads);
    tokenized(options, encoder, folder.path() / "many");
    EXPECT_TRUE(all_bytes(folder.path() / "one") == all_bytes(folder.path() / "many")) << threads << " threads";
  }
  options.shard_tokens = 1000;
  const TokenIndex index = tokenized(options, encoder, folder.path() / "shards");
  EXPECT_EQ(std::ssize(index.shards), (index.tokens + 999) / 1000);
  EXPECT_TRUE(tokens_of(folder.path() / "shards") == tokens_of(folder.path() / "one"));
}

TEST(Tokenize, LinesOfJsonAreDocumentsWithTheEndOfATextBetweenThem) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "texts.jsonl";
  write_file(file,
             "{\"text\": \"one head\", \"id\": 1}\r\n\n  \n{\"id\": 2, \"text\": \"\"}\n{\"text\": \"caf\\u00e9\\n\"}");
  const TextEncoder encoder(golden_tokenizer("Llama 2's"));
  ASSERT_TRUE(encoder.separator().has_value());
  auto expected = encoded_whole(encoder, "one head");
  expected.push_back(static_cast<std::int32_t>(encoder.separator()->token));
  for (const std::int32_t id : encoded_whole(encoder, "café\n")) expected.push_back(id);
  TokenizeOptions options{.input = file.string()};
  const TokenIndex index = tokenized(options, encoder, folder.path() / "tokens");
  EXPECT_EQ(index.documents, 2);
  EXPECT_EQ(index.field, "text");
  EXPECT_EQ(tokens_of(folder.path() / "tokens"), expected);
  options.separate = false;
  EXPECT_EQ(tokenized(options, encoder, folder.path() / "tokens").tokens, std::ssize(expected) - 1);
  // The same of another name, and of small pieces.
  std::string many;
  for (int i = 0; i < 500; ++i) many += fmt::format("{{\"body\": \"document {}\"}}\n", i);
  write_file(folder.path() / "many.txt", many);
  options = {.input = (folder.path() / "many.txt").string(), .lines = true, .field = "body"};
  options.piece_bytes = 1024;
  EXPECT_EQ(tokenized(options, encoder, folder.path() / "tokens").documents, 500);
}

TEST(Tokenize, AMalformedLineIsNamed) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "texts.jsonl";
  const std::string sound = "{\"text\": \"one head\"}\n";
  const auto refusal = [&](const std::string& bytes) {
    write_file(file, bytes);
    TokenizeOptions options{.input = file.string()};
    options.piece_bytes = 1024;
    const std::string sentence =
        complaint_of([&] { tokenized(options, TextEncoder::of_bytes(), folder.path() / "tokens"); });
    EXPECT_EQ(entries(folder.path()), 1) << "something was left behind";
    return sentence.substr(std::min(sentence.size(), file.string().size()));
  };
  EXPECT_EQ(refusal(sound + "\n{\"text\": \"cut\n"), ", line 3: expected an object of JSON, found something else");
  EXPECT_EQ(refusal(sound + "[1]"), ", line 2: expected an object of JSON, found array");
  EXPECT_EQ(refusal(sound + "{\"texts\": 1}"),
            ", line 2: the object has no \"text\": choose the field that holds its text");
  EXPECT_EQ(refusal(sound + "{\"text\": 1}"), ", line 2: \"text\" is of type number: expected a text");
  std::string long_file;
  for (int i = 0; i < 1000; ++i) long_file += sound;
  EXPECT_EQ(refusal(long_file + "nothing\n" + long_file),
            ", line 1001: expected an object of JSON, found something else");
}

TEST(Tokenize, AFolderIsItsFilesInOrder) {
  const TemporaryFolder folder;
  const fs::path texts = folder.path() / "texts";
  for (const char* below : {"b", "a"}) fs::create_directories(texts / below);
  write_file(texts / "b" / "2.txt", "two");
  write_file(texts / "a" / "1.md", "one");
  write_file(texts / "c.jsonl", "{\"text\": \"three\"}\n{\"text\": \"four\"}\n");
  write_file(texts / "empty.txt", "");
  write_file(texts / "picture.png", "none");
  TokenizeOptions options{.input = texts.string()};
  const TokenIndex index = tokenized(options, TextEncoder::of_bytes(), folder.path() / "tokens");
  EXPECT_EQ(index.documents, 4);
  std::string read;
  for (const std::int32_t token : tokens_of(folder.path() / "tokens")) read += static_cast<char>(token);
  EXPECT_EQ(read, "onetwothreefour");
  ASSERT_EQ(index.inputs.size(), 4U);
  EXPECT_TRUE(index.inputs[0].path.ends_with("a/1.md"));
  EXPECT_EQ(index.inputs[0].bytes, 3);
  EXPECT_EQ(index.inputs[2].documents, 2);
  EXPECT_EQ(index.inputs[3].documents, 0);
}

TEST(Tokenize, WhatIsNoTextIsRefused) {
  const TemporaryFolder folder;
  const auto refusal = [&](const std::string& bytes) {
    write_file(folder.path() / "text.txt", bytes);
    return complaint_of([&] {
      tokenized({.input = (folder.path() / "text.txt").string()}, TextEncoder::of_bytes(), folder.path() / "tokens");
    });
  };
  for (const auto& [begin, what] : {std::pair{std::string("\x1F\x8B\b\0", 4), "gzip"},
                                    {"\x28\xB5\x2F\xFD.", "zstd"},
                                    {"PAR1....", "Parquet"},
                                    {"\xFF\xFEt", "UTF-16"}}) {
    EXPECT_NE(refusal(begin).find(what), std::string::npos) << what;
  }
  EXPECT_NE(refusal("").find("has no text"), std::string::npos);
  EXPECT_EQ(entries(folder.path()), 1) << "something was left behind";
  const auto of = [&](const std::string& input) {
    return complaint_of([&] { tokenized({.input = input}, TextEncoder::of_bytes(), folder.path() / "tokens"); });
  };
  EXPECT_NE(of((folder.path() / "none.txt").string()).find("No such file"), std::string::npos);
  fs::create_directory(folder.path() / "empty");
  EXPECT_NE(of((folder.path() / "empty").string()).find("holds no text"), std::string::npos);
}

TEST(Tokenize, WhatHasNoTokenIsNamedByItsPlace) {
  const TemporaryFolder folder;
  const TextEncoder encoder(Tokenizer::from_json(R"({
    "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
    "pre_tokenizer": null, "post_processor": null, "decoder": null,
    "model": {"type": "Unigram", "unk_id": null, "vocab": [["a", -1.0]], "byte_fallback": false}})",
                                                 "one letter"));
  const fs::path file = folder.path() / "texts.jsonl";
  write_file(file, "{\"text\": \"a\"}\n{\"text\": \"b\"}\n");
  const std::string sentence =
      complaint_of([&] { tokenized({.input = file.string()}, encoder, folder.path() / "tokens"); });
  EXPECT_TRUE(sentence.starts_with(file.string() + ", line 2: ")) << sentence;
}

TEST(Tokenize, KnowsItsOwnInputAgain) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "text.txt";
  write_file(file, "one head");
  const TokenizeOptions options{.input = file.string()};
  const TextEncoder encoder(golden_tokenizer("bytes"));
  const TokenIndex index = tokenized(options, encoder, folder.path() / "tokens");
  EXPECT_TRUE(is_of(index, options, encoder));
  EXPECT_FALSE(is_of(index, options, TextEncoder::of_bytes()));
  EXPECT_FALSE(is_of(index, options, TextEncoder(golden_tokenizer("unigram"))));
  write_file(file, "one hea!");
  EXPECT_FALSE(is_of(index, options, encoder));
}

std::int64_t peak_bytes() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return std::int64_t{usage.ru_maxrss} * 1024;
}

// How much more of it the process holds, at most, for `many` parts in a file than for `few`.
std::int64_t growth(const std::string& name, const std::string& part, int few, int many, const TextEncoder& encoder) {
  const TemporaryFolder folder;
  const auto peak_of = [&](int parts) {
    std::ofstream file(folder.path() / name, std::ios::binary);
    for (int i = 0; i < parts; ++i) file << part;
    file.close();
    TokenizeOptions options{.input = (folder.path() / name).string()};
    options.threads = 1;
    tokenized(options, encoder, folder.path() / "tokens");
    return peak_bytes();
  };
  const std::int64_t before = peak_of(few);
  return peak_of(many) - before;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMemoryIsTheSanitizers = true;
#else
constexpr bool kMemoryIsTheSanitizers = false;
#endif

TEST(Tokenize, MemoryDoesNotGrowWithTheText) {
  if (kMemoryIsTheSanitizers) GTEST_SKIP() << "a sanitizer's own memory grows";
  EXPECT_LT(growth("text.txt", mixed_text(1 << 20), 8, 48, TextEncoder(golden_tokenizer("bytes"))), 8 << 20)
      << "40 MiB more of text";
}

TEST(Tokenize, MemoryDoesNotGrowWithTheNumberOfLongLines) {
  if (kMemoryIsTheSanitizers) GTEST_SKIP() << "a sanitizer's own memory grows";
  const std::string line = "{\"text\": \"" + std::string(2 << 20, 'x') + "\"}\n";
  EXPECT_LT(growth("texts.jsonl", line, 4, 40, TextEncoder::of_bytes()), 24 << 20) << "72 MiB more of lines";
}

}  // namespace
}  // namespace polariscope::tasks::text
