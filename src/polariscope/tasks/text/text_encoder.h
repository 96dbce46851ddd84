// What makes numbers of text for token shards: a published tokenizer, or the bytes as they are.
#pragma once

#include "polariscope/tasks/text/token_index.h"
#include "polariscope/tasks/text/tokenizer.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::tasks::text {

// Immutable; all of it may be called by many threads at once.
class TextEncoder {
 public:
  explicit TextEncoder(Tokenizer tokenizer) : tokenizer_(std::move(tokenizer)) {}
  // 256 tokens, one a byte.
  static TextEncoder of_bytes() { return TextEncoder(); }
  bool is_of_bytes() const { return !tokenizer_; }

  // Appends the tokens of the text alone. Throws Error as Tokenizer::encode() does.
  void encode(std::string_view text, std::vector<std::int32_t>& ids) const;

  // The same for text[after, end), with text[0, after) there too: what tokenizers do at the beginning of a text happens
  // there. False where the tokens before `after` are not those of text[0, after): then those of the rest by itself.
  bool encode_after(std::string_view text, std::size_t after, std::vector<std::int32_t>& ids) const;

  std::int64_t vocabulary() const;                // one above the largest number that it may give
  std::string text_of(std::int32_t token) const;  // for an axis or a table, as Tokenizer::text_of()
  std::string describe() const;
  std::string fingerprint() const;  // of the tokenizer's files, in hexadecimal digits
  // What ends a text, or begins it where nothing ends it; nothing where the tokenizer has neither.
  std::optional<TokenIndex::Separator> separator() const;

 private:
  TextEncoder() = default;

  std::optional<Tokenizer> tokenizer_;
};

}  // namespace polariscope::tasks::text
