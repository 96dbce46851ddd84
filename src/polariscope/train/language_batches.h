// Sequences of a text that a language model is trained and validated on.
#pragma once

#include "polariscope/train/language_text.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>  // before <ATen/ops/…>, whose order of includes clang refuses in C++20

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace polariscope::train {

struct LanguageBatch {
  at::Tensor tokens, targets;  // int64 [sequences, context]: the targets are the tokens that follow
};

class LanguageBatches {
 public:
  // data: as LanguageText takes it. Throws Error for fewer tokens than two sequences need.
  LanguageBatches(const std::string& data, std::int64_t context, std::uint64_t seed);

  // Training sequences [first, first + count), counted over the whole run: each epoch has every stretch of `context`
  // tokens once, in an order and at an offset of its own.
  LanguageBatch training(std::int64_t first, std::int64_t count);
  // `count` stretches spread evenly over the last hundredth of the text, which no training sequence reaches.
  LanguageBatch validation(std::int64_t count) const;
  std::int64_t validation_stretches() const { return (text_.size() - training_tokens_ - 1) / context_; }

  const LanguageText& text() const { return text_; }
  std::int64_t context() const { return context_; }
  std::int64_t training_tokens() const { return training_tokens_; }

 private:
  LanguageBatch at(std::span<const std::int64_t> places) const;

  LanguageText text_;
  std::int64_t context_, training_tokens_, stretches_;
  std::uint64_t seed_;
  std::vector<std::int64_t> order_;  // of the epoch at hand
  std::int64_t epoch_ = -1;          // that order_ is of
};

}  // namespace polariscope::train
