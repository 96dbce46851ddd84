#include "polariscope/train/language_batches.h"

#include "polariscope/base/error.h"
#include "polariscope/base/random.h"
#include "polariscope/train/task_batches.h"

#include <ATen/ops/empty.h>

#include <algorithm>

namespace polariscope::train {
namespace {

constexpr std::uint64_t kOffsetStream = 0x6c6d;

std::int64_t for_validation(std::int64_t tokens, std::int64_t context) { return std::max(tokens / 100, context + 1); }

}  // namespace

LanguageBatches::LanguageBatches(const std::string& data, std::int64_t context, std::uint64_t seed)
    : text_(data),
      context_(context),
      training_tokens_(text_.size() - for_validation(text_.size(), context)),
      stretches_((training_tokens_ - 1) / context - 1),  // one less leaves room for any offset
      seed_(seed) {
  if (stretches_ < 1) {
    throw Error("{} holds {} tokens: with sequences of {} at least {} are needed, a hundredth of them for validation",
                data, text_.size(), context, 3 * context + 2);
  }
}

LanguageBatch LanguageBatches::at(std::span<const std::int64_t> places) const {
  const auto count = static_cast<std::int64_t>(places.size());
  LanguageBatch batch{at::empty({count, context_}, at::kLong), at::empty({count, context_}, at::kLong)};
  std::vector<std::int64_t> stretch(static_cast<std::size_t>(context_ + 1));
  for (std::int64_t s = 0; s < count; ++s) {
    text_.read(places[s], stretch);
    std::copy_n(stretch.begin(), context_, batch.tokens.data_ptr<std::int64_t>() + s * context_);
    std::copy_n(stretch.begin() + 1, context_, batch.targets.data_ptr<std::int64_t>() + s * context_);
  }
  return batch;
}

LanguageBatch LanguageBatches::training(std::int64_t first, std::int64_t count) {
  std::vector<std::int64_t> places;
  for (std::int64_t sequence = first; sequence < first + count; ++sequence) {
    const std::int64_t epoch = sequence / stretches_;
    if (epoch != epoch_) {
      order_ = shuffled(stretches_, seed_, epoch);
      epoch_ = epoch;
    }
    const auto offset = static_cast<std::int64_t>(RandomStream(seed_, kOffsetStream, static_cast<std::uint64_t>(epoch))
                                                      .below(static_cast<std::uint64_t>(context_)));
    places.push_back(order_[sequence % stretches_] * context_ + offset);
  }
  return at(places);
}

LanguageBatch LanguageBatches::validation(std::int64_t count) const {
  const std::int64_t there = validation_stretches(), used = std::min(count, there);
  std::vector<std::int64_t> places;
  for (std::int64_t i = 0; i < used; ++i) places.push_back(training_tokens_ + i * there / used * context_);
  return at(places);
}

}  // namespace polariscope::train
