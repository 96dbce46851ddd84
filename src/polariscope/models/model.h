// What every model gives: its shape, its parameters by name, and a forward pass whose layers can be watched.
#pragma once

#include "polariscope/attention/torch/attend.h"
#include "polariscope/models/parameters.h"

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace polariscope::models {

struct ModelShape {
  std::int64_t layers = 2, heads = 4, width = 128;  // heads divides width
  std::int64_t vocabulary = 0, outputs = 0;         // numbers of tokens, and of logits at each position
  std::int64_t longest = 16;                        // sequence, where there are positions
  bool causal = true;
};

// One layer's attention, as the forward pass comes by. What it refers to lives as long as the call that shows it.
struct LayerAttention {
  std::int64_t layer;                             // counted from 0
  const attention::TensorStatistics& statistics;  // those asked for, [batch, heads, length] each, with their gradients
  const at::Tensor &query, &key;                  // [batch, heads, length, head width], as attend() got them
  const attention::AttendOptions& options;

  // p, [batch, heads, queries, keys]; without gradient.
  at::Tensor weights() const { return attention::attention_weights(query, key, options); }
};

// Who watches a forward pass: what it needs of each layer, and what it does with it, layer by layer. A layer's
// statistics are gone after the call that shows them unless they are kept.
struct LayerObserver {
  std::vector<std::string> statistics = {};  // names as attention::statistics_of()
  std::function<void(const LayerAttention&)> see = {};
};

class Model {
 public:
  virtual ~Model() = default;
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  // tokens: [batch, length], int64, in [0, vocabulary). Logits [batch, length, outputs], differentiable with respect to
  // parameters(). Throws Error for tokens that do not fit.
  virtual at::Tensor forward(const at::Tensor& tokens, const LayerObserver& observer = {}) const = 0;

  const ModelShape& shape() const { return shape_; }
  Parameters& parameters() { return parameters_; }
  const Parameters& parameters() const { return parameters_; }

 protected:
  Model(const ModelShape& shape, Parameters parameters) : shape_(shape), parameters_(std::move(parameters)) {}

 private:
  ModelShape shape_;
  Parameters parameters_;
};

}  // namespace polariscope::models
