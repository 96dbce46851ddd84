// The same weights with another first token, or another re-weighting: loss, sinks and entropies side by side.
#pragma once

#include "polariscope/audit/audit.h"

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace polariscope::audit {

struct Variation {
  std::string name = {};                     // "softmax1", "first token \"\\n\""
  double nll = 0.0;                          // nats per token; NaN where nothing is predicted
  double relative_entropy = 0.0;             // mean over layers and heads
  double first_visible_key = 0.0;            // mean over layers and heads
  std::vector<double> layer_sinks = {};      // of it by layer, mean over heads
  std::vector<double> layer_entropies = {};  // relative entropy by layer
  double largest_activation = 0.0;           // |x| of the residual stream, all layers
};

// A token that texts begin with, and how to call it; id -1: none.
struct FirstToken {
  std::int32_t id = -1;
  std::string name = {};
};

// `texts` hold no first token, and must leave room for one. What is predicted is the same in all: the tokens of a text
// after its first.
std::vector<Variation> first_token_variations(const models::PretrainedModel& model, Texts texts,
                                              std::span<const FirstToken> tokens, const AuditOptions& options);

// One of: "softmax1", "sink=Z", "soft-cap=C", "temperature=T" (which divides logits, their biases too, before a cap).
// Throws Error for another, for a number out of range, and for what the model's own attention does not go together
// with.
models::Description varied(const models::Description& model, std::string_view variation);

// The model as it is ("as it is"), then each variation.
std::vector<Variation> what_if(const models::PretrainedModel& model, Texts texts,
                               std::span<const std::string> variations, const AuditOptions& options);

}  // namespace polariscope::audit
