// Text as a model reads it: the tokenizers of published models, from the files that they come in. docs/tokenizers.md
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::tasks::text {

enum class SpecialTokens {
  kAdded,  // those that the model's own tokenizer puts before and after a text
  kNone,   // of the text alone
};

// Immutable and cheap to copy; all of it may be called by many threads at once.
class Tokenizer {
 public:
  // A model's folder, or one of its files: tokenizer.json, vocab.json (with merges.txt beside it), tokenizer.model
  // (SentencePiece), vocab.txt (WordPiece), tokenizer.bin (llama2.c), NAME.gguf. tokenizer_config.json and
  // special_tokens_map.json are read where they stand beside it. Throws Error for a file that is missing or damaged,
  // and names each component of it that is not understood.
  static Tokenizer open(const std::filesystem::path& path);
  // From the contents of a tokenizer.json; `name` begins the sentences of errors.
  static Tokenizer from_json(std::string_view json, const std::string& name);
  // From the metadata of a GGUF file: {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": […], …}.
  static Tokenizer from_gguf(const nlohmann::json& metadata, const std::string& name);

  // Text that is no UTF-8 is read as Python's errors="replace" reads it: each unsound part is one U+FFFD. Throws Error
  // only where text has no token and the model none for such text.
  std::vector<std::int32_t> encode(std::string_view text, SpecialTokens special = SpecialTokens::kAdded) const;
  // The same, appended to `ids`.
  void encode(std::string_view text, SpecialTokens special, std::vector<std::int32_t>& ids) const;

  // Throws Error for a number that is no token's.
  std::string decode(std::span<const std::int32_t> ids, SpecialTokens special = SpecialTokens::kAdded) const;
  // One token for an axis or a table: sound UTF-8 on one line, line ends and bytes that are no text written out ("\n",
  // "\xE2"); a space is a space. "" for a number that no token has.
  std::string text_of(std::int32_t id) const;

  std::int32_t size() const;                                       // one above the largest number of a token
  std::optional<std::int32_t> find(std::string_view token) const;  // by its text in the file
  bool is_special(std::int32_t id) const;

  std::optional<std::int32_t> bos() const;
  std::optional<std::int32_t> eos() const;
  std::optional<std::int32_t> unk() const;
  std::optional<std::int32_t> pad() const;

  const std::string& kind()
      const;  // "byte-level BPE", "BPE", "SentencePiece BPE", "unigram", "WordPiece", "word level"
  // For records: kind, size, what is done to text, what is put around it.
  std::string describe() const;
  // Of the files that it was read from.
  std::uint64_t fingerprint() const;

 private:
  struct State;
  explicit Tokenizer(std::shared_ptr<const State> state);
  friend struct TokenizerFiles;

  std::shared_ptr<const State> state_;
};

}  // namespace polariscope::tasks::text
