// The tokens that a language model reads: shards that `polariscope tokenize` made, or the text that comes with the
// program.
#pragma once

#include "polariscope/tasks/text/token_shards.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::train {

class LanguageText {
 public:
  // data: a folder of shards, or "example": the pages of the documentation (data/example/pages.txt), a token a byte.
  // Throws Error for none, and for shards that cannot be read.
  explicit LanguageText(const std::string& data);

  // Reads all of it. Throws Error where it is not what its index says.
  void verify() const;

  std::int64_t size() const;
  std::int64_t vocabulary() const;  // one above the largest token that there may be
  std::string fingerprint() const;
  bool is_bytes() const;  // whether tokens are the bytes of the text
  // To be shown: the token's text on one line where the shards bring it, else its number.
  std::string text_of(std::int64_t token) const;
  // Tokens [first, first + into.size()).
  void read(std::int64_t first, std::span<std::int64_t> into) const;

 private:
  std::optional<tasks::text::TokenShards> shards_;
  std::vector<std::string> texts_;  // of their tokens, if they bring them
  std::string_view bytes_;          // without shards
};

}  // namespace polariscope::train
