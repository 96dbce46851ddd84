// One reader per kind of file. Each throws Error, begun with `where` (the file's name), for what it cannot read whole.
#pragma once

#include "polariscope/tasks/text/internal/json_node.h"
#include "polariscope/tasks/text/internal/parts.h"

#include <string>
#include <string_view>

namespace polariscope::tasks::text {

// tokenizer.json of Hugging Face's tokenizers.
TokenizerParts read_tokenizer_json(std::string_view text, const std::string& where);
// vocab.json with merges.txt: GPT-2's and its kin. `kind` is tokenizer_config.json's "tokenizer_class", "" for GPT-2.
TokenizerParts read_vocabulary_and_merges(std::string_view vocabulary, std::string_view merges, const std::string& kind,
                                          const std::string& where);
// vocab.txt: BERT's list of words, a line each.
TokenizerParts read_word_list(std::string_view text, bool lowercase, const std::string& where);
// tokenizer.model: SentencePiece's protocol buffer.
TokenizerParts read_sentencepiece(std::string_view bytes, const std::string& where);
// tokenizer.bin of llama2.c.
TokenizerParts read_llama2c(std::string_view bytes, const std::string& where);
// The keys "tokenizer.ggml.…" of a GGUF file, with their values as JSON.
TokenizerParts read_gguf_metadata(const nlohmann::json& metadata, const std::string& where);

// tokenizer_config.json and special_tokens_map.json: names of special tokens, whether they are put around a text, and
// tokens that the tokenizer's own file lacks.
void apply_config(TokenizerParts& parts, const JsonNode& config);

// Of tokenizer.json, each component by itself; nullptr for one that is absent.
NormalizerPart read_normalizer(const std::optional<JsonNode>& node);
struct ReadPreTokenizer {
  PreTokenizerPart part;
  bool bytes = false;  // it makes GPT-2's characters of bytes: the model's symbols are bytes
};
ReadPreTokenizer read_pre_tokenizer(const std::optional<JsonNode>& node);
DecoderPart read_decoder(const std::optional<JsonNode>& node);
void read_post_processor(const std::optional<JsonNode>& node, TokenizerParts& parts);
// Fills kind, vocabulary, segmenter and unk. `limit`: what no number of a token may reach.
void read_model(const JsonNode& node, bool bytes, std::size_t limit, TokenizerParts& parts);

inline constexpr const char* kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
// The cuts that GGUF's "tokenizer.ggml.pre" names, before the bytes; throws Error with the known names.
PreTokenizerPart pre_tokenizer_by_name(const std::string& name, const std::string& where);

}  // namespace polariscope::tasks::text
