// Texts as token ids, one after the other, that go through a model together: rows of all of them share every product.
#pragma once

#include "polariscope/models/pretrained/description.h"

#include <cstdint>
#include <span>
#include <vector>

namespace polariscope::models {

class TokenBatch {
 public:
  void add(std::span<const std::int32_t> text) {
    ids_.insert(ids_.end(), text.begin(), text.end());
    starts_.push_back(rows());
  }

  std::int64_t rows() const { return static_cast<std::int64_t>(ids_.size()); }
  std::int64_t texts() const { return static_cast<std::int64_t>(starts_.size()) - 1; }
  std::int64_t start(std::int64_t text) const { return starts_[text]; }
  std::int64_t length(std::int64_t text) const { return starts_[text + 1] - starts_[text]; }
  std::span<const std::int32_t> ids() const { return ids_; }

 private:
  std::vector<std::int32_t> ids_;
  std::vector<std::int64_t> starts_{0};
};

// Throws Error for an empty text, an id that is not in the vocabulary and a text longer than the table of positions.
// `text` is its number, from 0, to be named.
void require_fitting(const Description& model, std::span<const std::int32_t> ids, std::int64_t text);

// What a token's logits are held against: the next token, of an encoder the token itself; -1 where there is none.
std::vector<std::int32_t> targets_of(const Description& model, const TokenBatch& texts);

}  // namespace polariscope::models
