#include "polariscope/train/flip_rates.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <numeric>
#include <span>

namespace polariscope::train {
namespace {

std::span<const std::int64_t> numbers(const at::Tensor& t) {
  return {t.data_ptr<std::int64_t>(), static_cast<std::size_t>(t.numel())};
}

std::vector<std::int64_t> labels_of(const TaskBatches& task, const TrainingOptions& options) {
  std::vector<std::int64_t> labels, examples;
  for (std::int64_t first = 0; first < options.evaluation_sequences; first += options.batch) {
    examples.resize(static_cast<std::size_t>(std::min(options.batch, options.evaluation_sequences - first)));
    std::iota(examples.begin(), examples.end(), first);
    const Batch batch = task.batch(tasks::Split::kEvaluation, examples);
    const std::span<const std::int64_t> of_batch = numbers(batch.targets);
    labels.insert(labels.end(), of_batch.begin(), of_batch.end());
  }
  return labels;
}

}  // namespace

FlipRates::FlipRates(const TaskBatches& task, const TrainingOptions& options)
    : pairs_(metrics::draw_flip_pairs(labels_of(task, options), {.seed = options.seed})),
      cls_rows_(static_cast<std::size_t>(options.layers)) {
  for (const metrics::FlipPair& pair : pairs_) {
    for (const std::size_t sequence : {pair.first, pair.second}) {
      sequences_.push_back(static_cast<std::int64_t>(sequence));
    }
  }
  std::ranges::sort(sequences_);
  sequences_.erase(std::unique(sequences_.begin(), sequences_.end()), sequences_.end());
  const auto place = [&](std::size_t& sequence) {
    const auto found = std::ranges::lower_bound(sequences_, static_cast<std::int64_t>(sequence));
    sequence = static_cast<std::size_t>(found - sequences_.begin());
  };
  for (metrics::FlipPair& pair : pairs_) {
    place(pair.first);
    place(pair.second);
  }
}

// The places in a batch of those that are in a pair.
at::Tensor FlipRates::drawn(std::int64_t first, std::int64_t count) const {
  std::vector<std::int64_t> places;
  for (auto at = std::ranges::lower_bound(sequences_, first); at != sequences_.end() && *at < first + count; ++at) {
    places.push_back(*at - first);
  }
  return at::tensor(places, at::TensorOptions(at::kLong));
}

void FlipRates::add(std::int64_t first, const Batch& batch) {
  const at::Tensor places = drawn(first, batch.tokens.size(0));
  tokens_.push_back(batch.tokens.index_select(0, places));
  labels_.push_back(batch.targets.index_select(0, places));
}

void FlipRates::add_layer(std::int64_t first, std::int64_t layer, const at::Tensor& weights) {
  const at::Tensor cls = weights.narrow(2, weights.size(2) - 1, 1);
  cls_rows_[static_cast<std::size_t>(layer)].push_back(cls.index_select(0, drawn(first, weights.size(0))));
}

std::vector<metrics::Mean> FlipRates::of_layer(std::int64_t layer, const models::Model& model) const {
  const at::Tensor rows = at::cat(cls_rows_[static_cast<std::size_t>(layer)]).contiguous();
  const at::Tensor tokens = at::cat(tokens_), labels = at::cat(labels_);
  const std::int64_t length = tokens.size(1);
  const auto predict = [&](std::span<const std::int64_t> sequences) {
    const auto count = static_cast<std::int64_t>(sequences.size()) / length;
    // from_blob() takes no constant memory; nothing is written there.
    const at::Tensor batch =
        at::from_blob(const_cast<std::int64_t*>(sequences.data()), {count, length}, at::TensorOptions(at::kLong));
    const at::Tensor best = model.forward(batch).select(1, length - 1).argmax(1).contiguous();
    return std::vector<std::int64_t>(numbers(best).begin(), numbers(best).end());
  };
  const metrics::AttentionMap<float> map{.values = {rows.data_ptr<float>(), static_cast<std::size_t>(rows.numel())},
                                         .samples = rows.size(0),
                                         .heads = rows.size(1),
                                         .queries = 1,
                                         .keys = length};
  return metrics::flip_rate(map, numbers(tokens), numbers(labels), pairs_, predict);
}

}  // namespace polariscope::train
