// Tokenizers that no writer makes: each is refused in one sentence, or read without harm.
#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/random.h"
#include "polariscope/tasks/text/internal/byte_characters.h"
#include "polariscope/tasks/text/internal/utf8.h"
#include "polariscope/tasks/text/tokenizer.h"
#include "support/complaint.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstring>

namespace polariscope::tasks::text {
namespace {

using nlohmann::json;
using polariscope::testing::complaint_of;
using polariscope::testing::TemporaryFolder;

json sound() {
  return json::parse(R"({
    "version": "1.0", "truncation": null, "padding": null,
    "added_tokens": [{"id": 4, "content": "<s>", "special": true}],
    "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}]},
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true},
    "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
      {"Sequence": {"id": "A", "type_id": 0}}], "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [4], "tokens": ["<s>"]}}},
    "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "c": 3}, "merges": ["a b"]}})");
}

std::string complaint(const std::string& text) {
  return complaint_of([&] { (void)Tokenizer::from_json(text, "t.json"); });
}

// The sound description with `value` at `pointer`.
std::string complaint(const char* pointer, const json& value) {
  json changed = sound();
  changed[json::json_pointer(pointer)] = value;
  return complaint(changed.dump());
}

TEST(MalformedTokenizers, TheSoundOneIsRead) {
  EXPECT_EQ(Tokenizer::from_json(sound().dump(), "t.json").encode("abc"), (std::vector<std::int32_t>{4, 2, 3}));
}

TEST(MalformedTokenizers, EachFaultIsNamed) {
  EXPECT_EQ(complaint(""), "t.json is not JSON: it cannot be read from byte 1 on");
  EXPECT_EQ(complaint("[]"), "t.json: expected an object, found array");
  EXPECT_EQ(complaint("{}"), "t.json has no \"model\"");
  EXPECT_EQ(complaint("/more", 1), "t.json: \"more\" is not understood, and it may change the ids");
  EXPECT_EQ(complaint("/model", "x"), "t.json: model: expected an object, found string");
  EXPECT_EQ(complaint("/model/type", "Unigram"),
            "t.json: model: a model of type \"Unigram\" behind ByteLevel is not read here");
  json of_words = sound();
  of_words["pre_tokenizer"] = nullptr;
  of_words["model"]["type"] = "BPF";
  EXPECT_EQ(complaint(of_words.dump()),
            "t.json: model: unknown model \"BPF\": did you mean \"BPE\"? (known: BPE, Unigram, WordPiece, WordLevel)");
  EXPECT_EQ(complaint("/model/vocab", json::array()), "t.json: model.vocab: expected an object, found array");
  EXPECT_EQ(complaint("/model/vocab/c", "3"), "t.json: model.vocab: token \"c\" has string for its number");
  EXPECT_EQ(complaint("/model/vocab/c", 2), "t.json: model.vocab: tokens \"ab\" and \"c\" have the same number 2");
  EXPECT_NE(complaint("/model/vocab/c", -1).find("token \"c\" has number -1"), std::string::npos);
  EXPECT_NE(complaint("/model/vocab/c", 4'000'000'000).find("token \"c\" has number"), std::string::npos);
  EXPECT_NE(complaint("/model/vocab/c", json::parse("18446744073709551615")).find("has number -1"), std::string::npos);
  EXPECT_EQ(complaint("/model/merges/0", "a d"),
            "t.json: model.merges[0] has \"d\", which is no token of the vocabulary");
  EXPECT_EQ(complaint("/model/merges/0", "b a"),
            "t.json: model.merges[0] has \"ba\", which is no token of the vocabulary");
  EXPECT_EQ(complaint("/model/merges/0", "ab"),
            "t.json: model.merges[0] is not two tokens with a space between them: \"ab\"");
  EXPECT_EQ(complaint("/model/merges/0", json::array({"a"})), "t.json: model.merges[0] is not two tokens");
  EXPECT_EQ(complaint("/model/dropout", 0.1), "t.json: model: with dropout the ids of a text are random");
  EXPECT_EQ(complaint("/model/sauce", 1), "t.json: model: \"sauce\" is not understood, and it may change the ids");
  EXPECT_EQ(complaint("/model/unk_token", "<unk>"),
            "t.json: model.vocab: unk_token is \"<unk>\", which is no token of the vocabulary");
  EXPECT_NE(complaint("/pre_tokenizer/type", "UnicodeScripts").find("unknown pre-tokenizer \"UnicodeScripts\""),
            std::string::npos);
  EXPECT_NE(complaint("/normalizer/normalizers/0/type", "NFX").find("t.json: normalizer.normalizers[0]: unknown"),
            std::string::npos);
  EXPECT_NE(complaint("/decoder/type", "CTC").find("unknown decoder \"CTC\""), std::string::npos);
  EXPECT_NE(complaint("/post_processor/type", "X").find("unknown post-processor \"X\""), std::string::npos);
  EXPECT_EQ(complaint("/post_processor/special_tokens/<s>/ids/0", 9),
            "t.json: 9 is put around a text, and no token has that number");
  EXPECT_EQ(complaint("/added_tokens/0/id", 3),
            "t.json: added_tokens[0]: number 3 is token \"<s>\" here and \"c\" in the model");
  EXPECT_NE(complaint("/added_tokens/0/id", 2'000'000'000).find("is out of range"), std::string::npos);
  EXPECT_EQ(complaint("/added_tokens/0/content", "a"),
            "t.json: added_tokens[0]: token \"a\" has number 4 here and 0 in the model");
  EXPECT_NE(complaint("/pre_tokenizer", {{"type", "Split"}, {"pattern", {{"Regex", "(a"}}}, {"behavior", "Isolated"}})
                .find("is not understood"),
            std::string::npos);
  EXPECT_NE(
      complaint("/normalizer", {{"type", "Precompiled"}, {"precompiled_charsmap", "////"}}).find("compiled rules"),
      std::string::npos);
}

TEST(MalformedTokenizers, NumbersMayHaveGaps) {
  json gap = sound();
  gap["model"]["vocab"]["c"] = 9;
  const Tokenizer tokenizer = Tokenizer::from_json(gap.dump(), "t.json");
  EXPECT_EQ(tokenizer.size(), 10);
  EXPECT_EQ(tokenizer.text_of(7), "");
  EXPECT_EQ(tokenizer.encode("c").back(), 9);
}

TEST(MalformedTokenizers, DeepOnesAreRefused) {
  json deep = {{"type", "NFC"}};
  for (int i = 0; i < 50; ++i) deep = {{"type", "Sequence"}, {"normalizers", json::array({deep})}};
  EXPECT_NE(complaint("/normalizer", deep).find("lies more than 8 components deep"), std::string::npos);
  EXPECT_NE(complaint(std::string(1'000'000, '[')).find("is not JSON"), std::string::npos);
  EXPECT_NE(
      complaint("{\"model\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}").find("expected an object"),
      std::string::npos);
}

// Any prefix of a file and any file with one byte changed: an Error, or a tokenizer that encodes.
void expect_no_harm(const std::string& bytes, const std::string& file_name, int every) {
  const TemporaryFolder folder;
  const auto path = folder.path() / file_name;
  constexpr std::uint64_t kSeed = 17;
  RandomStream random(kSeed, 2);
  const auto read = [&](const std::string& changed) {
    write_file(path, changed);
    try {
      (void)Tokenizer::open(path).encode("abc the head  <s> é\xFF 123");
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    }
  };
  for (std::size_t length = 0; length < bytes.size(); length += static_cast<std::size_t>(every))
    read(bytes.substr(0, length));
  for (int round = 0; round < 200; ++round) {
    std::string changed = bytes;
    changed[random.below(bytes.size())] = static_cast<char>(random.below(256));
    read(changed);
  }
}

TEST(MalformedTokenizers, TruncatedAndFlippedFilesDoNoHarm) {
  expect_no_harm(sound().dump(), "tokenizer.json", 7);
  std::string pieces;
  const auto piece = [&](const std::string& text, float score, char type) {
    std::string message = std::string("\x0A") + static_cast<char>(text.size()) + text + "\x15";
    message.append(reinterpret_cast<const char*>(&score), 4);
    message += std::string("\x18") + type;
    pieces += std::string("\x0A") + static_cast<char>(message.size()) + message;
  };
  piece("<unk>", 0, 2);
  piece("<s>", 0, 3);
  piece("</s>", 0, 3);
  for (const char* text : {"▁", "a", "b", "c", "ab", "▁the"}) piece(text, -1, 1);
  expect_no_harm(pieces, "tokenizer.model", 1);
  std::string llama2c(4, '\0');
  for (int id = 0; id < 300; ++id) {
    const float score = static_cast<float>(-id);
    const std::int32_t length = 2;
    llama2c.append(reinterpret_cast<const char*>(&score), 4).append(reinterpret_cast<const char*>(&length), 4);
    llama2c += {static_cast<char>('a' + id % 26), static_cast<char>('a' + id / 26)};
  }
  expect_no_harm(llama2c, "tokenizer.bin", 101);
}

TEST(MalformedTokenizers, GgufMetadataIsChecked) {
  const json metadata{{"tokenizer.ggml.model", "llama"},
                      {"tokenizer.ggml.tokens", {"<unk>", "<s>", "</s>", "▁", "a", "b", "ab"}},
                      {"tokenizer.ggml.scores", {0, 0, 0, -1, -2, -3, -0.5}},
                      {"tokenizer.ggml.token_type", {2, 3, 3, 1, 1, 1, 1}}};
  const auto complaint_with = [&](const char* key, const json& value) {
    json changed = metadata;
    changed[key] = value;
    return complaint_of([&] { (void)Tokenizer::from_gguf(changed, "m.gguf"); });
  };
  EXPECT_EQ(Tokenizer::from_gguf(metadata, "m.gguf").encode("ab a"), (std::vector<std::int32_t>{1, 3, 6, 3, 4}));
  EXPECT_NE(complaint_with("tokenizer.ggml.model", "rwkv").find("unknown tokenizer \"rwkv\""), std::string::npos);
  EXPECT_NE(complaint_with("tokenizer.ggml.scores", {1}).find("has 1 numbers: expected one for each of 7 tokens"),
            std::string::npos);
  EXPECT_NE(complaint_with("tokenizer.ggml.token_type", {2, 3, 3, 1, 1, 1, 9}).find("is none of 1 to 6"),
            std::string::npos);
  EXPECT_NE(complaint_with("tokenizer.ggml.bos_token_id", 7).find("7 is no token: there are 7"), std::string::npos);
  EXPECT_NE(complaint_with("tokenizer.ggml.tokens", json::array({1})).find("token 0 is number"), std::string::npos);
  json bpe = metadata;
  bpe["tokenizer.ggml.model"] = "gpt2";
  bpe["tokenizer.ggml.pre"] = "gpt-3";
  EXPECT_NE(complaint_of([&] { (void)Tokenizer::from_gguf(bpe, "m.gguf"); }).find("unknown pre-tokenizer \"gpt-3\""),
            std::string::npos);
}

// Every name that the docs count: its expressions are understood, and what it cuts is all of the text.
TEST(GgufMetadata, EveryNamedPreTokenizerIsRead) {
  json tokens = json::array();
  for (int byte = 0; byte < 256; ++byte) tokens.push_back(utf8_of(character_of_byte(static_cast<unsigned char>(byte))));
  const std::string text = "Don't  cut 12345 tokens, naïve 注意力 word\r\n\n\tx = y_2; «ok» (é)…  ";
  const std::vector<std::string> names{"gpt-2",          "phi-2",
                                       "jina-es",        "jina-de",
                                       "jina-v2-es",     "jina-v2-de",
                                       "jina-v1-en",     "jina-v2-code",
                                       "roberta-bpe",    "gigachat",
                                       "a.x-4.0",        "mellum",
                                       "modern-bert",    "mpt",
                                       "olmo",           "jais",
                                       "trillion",       "granite-docling",
                                       "exaone4",        "llama-bpe",
                                       "llama3",         "llama-v3",
                                       "falcon3",        "falcon-h1",
                                       "pixtral",        "midm-2.0",
                                       "lfm2",           "jina-v5-nano",
                                       "dbrx",           "smaug-bpe",
                                       "glm4",           "chatglm-bpe",
                                       "qwen2",          "deepseek-r1-qwen",
                                       "kormo",          "f2llmv2",
                                       "stablelm2",      "hunyuan",
                                       "megrez",         "solar-open",
                                       "grok-2",         "qwen35",
                                       "smollm",         "starcoder",
                                       "refact",         "command-r",
                                       "codeshell",      "exaone",
                                       "minerva-7b",     "mellum2",
                                       "falcon",         "deepseek-llm",
                                       "deepseek-coder", "deepseek-v3",
                                       "hunyuan-dense",  "joyai-llm",
                                       "hy_v4",          "gpt-4o",
                                       "llama4",         "kanana2",
                                       "talkie",         "minimax-m2",
                                       "tekken",         "bloom",
                                       "poro-chat",      "gpt3-finnish",
                                       "viking",         "superbpe",
                                       "bailingmoe",     "bailingmoe2",
                                       "llada-moe",      "seed-coder",
                                       "exaone-moe",     "tiny_aya",
                                       "cohere2moe"};
  EXPECT_EQ(names.size(), 75U);
  for (const std::string& name : names) {
    const Tokenizer tokenizer = Tokenizer::from_gguf({{"tokenizer.ggml.model", "gpt2"},
                                                      {"tokenizer.ggml.pre", name},
                                                      {"tokenizer.ggml.tokens", tokens},
                                                      {"tokenizer.ggml.merges", json::array()}},
                                                     "m.gguf");
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text) << name;
  }
}

}  // namespace
}  // namespace polariscope::tasks::text
