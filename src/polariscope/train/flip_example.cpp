#include "polariscope/train/flip_example.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/softmax.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <numeric>
#include <vector>

namespace polariscope::train {
namespace {

constexpr std::int64_t kSequences = 64;

using Json = nlohmann::ordered_json;

// What a model makes of sequences, seen from one head.
struct Seen {
  at::Tensor tokens;         // [sequences, length]
  at::Tensor attention;      // of CLS, [sequences, length]
  at::Tensor probabilities;  // [sequences, labels]

  std::int64_t content() const { return tokens.size(1) - 1; }
  std::int64_t label(std::int64_t i) const { return probabilities[i].argmax(0).item<std::int64_t>(); }
  // The lower position first where attention is equal, as in metrics/flip_rate.h.
  std::int64_t first(std::int64_t i) const {
    const at::Tensor row = attention[i].contiguous();
    const auto* at = row.data_ptr<double>();
    return std::max_element(at, at + content()) - at;
  }
  Json as_json(std::int64_t i) const {
    Json tokens_json = Json::array(), attention_json = Json::array(), probabilities_json = Json::array();
    for (std::int64_t j = 0; j <= content(); ++j) {
      tokens_json.push_back(tokens[i][j].item<std::int64_t>());
      attention_json.push_back(attention[i][j].item<double>());
    }
    for (std::int64_t l = 0; l < probabilities.size(1); ++l)
      probabilities_json.push_back(probabilities[i][l].item<double>());
    return {{"tokens", tokens_json}, {"attention", attention_json}, {"probabilities", probabilities_json}};
  }
};

Seen look(const models::Model& model, const at::Tensor& tokens, const HeadEvaluation& head) {
  const std::int64_t last = tokens.size(1) - 1;
  Seen seen{.tokens = tokens, .attention = {}, .probabilities = {}};
  const at::Tensor logits = model.forward(tokens, {.see = [&](const models::LayerAttention& layer) {
                                            if (layer.layer == head.layer)
                                              seen.attention =
                                                  layer.weights().select(1, head.head).select(1, last).to(at::kDouble);
                                          }});
  seen.probabilities = logits.select(1, last).to(at::kDouble).softmax(1);
  return seen;
}

}  // namespace

std::string flip_example(const models::Model& model, const TaskBatches& task, const Evaluation& evaluation) {
  const at::NoGradGuard guard;
  const HeadEvaluation& head = *std::ranges::max_element(
      evaluation.heads, {}, [](const HeadEvaluation& one) { return one.flips.count() > 0 ? one.flips.value() : -1.0; });
  std::vector<std::int64_t> examples(kSequences);
  std::iota(examples.begin(), examples.end(), std::int64_t{0});
  const Batch batch = task.batch(tasks::Split::kEvaluation, examples);
  const Seen seen = look(model, batch.tokens, head);
  const auto right = [&](std::int64_t i) { return seen.label(i) == batch.targets[i].item<std::int64_t>(); };

  Json example;
  for (std::int64_t donor = 0; donor < kSequences; ++donor) {
    for (std::int64_t host = 0; host < kSequences; ++host) {
      if (seen.label(donor) == seen.label(host) || !right(donor) || !right(host)) continue;
      at::Tensor mixed = batch.tokens.narrow(0, host, 1).clone();
      const std::int64_t place = seen.first(host);
      mixed[0][place] = batch.tokens[donor][seen.first(donor)];
      const Seen after = look(model, mixed, head);
      const bool flipped = after.label(0) == seen.label(donor);
      if (!flipped && !example.is_null()) continue;
      example = {{"layer", head.layer + 1}, {"head", head.head + 1},        {"flip_rate", head.flips.value()},
                 {"flipped", flipped},      {"donor", seen.as_json(donor)}, {"host", seen.as_json(host)},
                 {"place", place},          {"mixed", after.as_json(0)}};
      if (flipped) return example.dump(1) + "\n";
    }
  }
  return example.dump(1) + "\n";
}

}  // namespace polariscope::train
