#include "polariscope/audit/interventions.h"

#include "polariscope/audit/internal/batches.h"
#include "polariscope/audit/memory.h"
#include "polariscope/base/interrupt.h"
#include "polariscope/models/pretrained/run_model.h"

#include <algorithm>
#include <cmath>

namespace polariscope::audit {
namespace {

using Input = attention::AttentionInput<float>;
using Output = attention::AttentionOutput<float>;

// Takes p v of the first key that a row sees out of its output.
class WithoutSinks : public models::ForwardObserver<float> {
 public:
  WithoutSinks(const models::Description& model, const models::TokenBatch& batch, std::int64_t layer)
      : model_(model), batch_(batch), layer_(layer) {}

  void before_attention(std::int64_t layer, std::int64_t text, Output& to) override {
    if (layer_ >= 0 && layer != layer_) return;
    shares_.resize(model_.layers[layer].attention.heads * batch_.length(text));
    to.statistics.first_visible_key = shares_.data();
  }
  void attended(std::int64_t layer, std::int64_t, const Input& input, const Output& output) override {
    if (layer_ >= 0 && layer != layer_) return;
    const attention::AttentionShape& shape = input.shape;
    for (std::int64_t h = 0; h < shape.heads; ++h) {
      for (std::int64_t i = 0; i < shape.queries; ++i) {
        const std::int64_t first = input.window > 0 ? std::max<std::int64_t>(0, i - input.window + 1) : 0;
        const float* value = input.value.row(0, h / (shape.heads / shape.key_heads), first);
        const float share = shares_[h * shape.queries + i];
        float* to = output.output.row(0, h, i);
        for (std::int64_t w = 0; w < shape.value_width; ++w) to[w] -= share * value[w];
      }
    }
  }

 private:
  const models::Description& model_;
  const models::TokenBatch& batch_;
  std::int64_t layer_;         // -1: all
  std::vector<float> shares_;  // [heads, rows]
};

class WithoutHead : public models::ForwardObserver<float> {
 public:
  WithoutHead(std::int64_t layer, std::int64_t head) : layer_(layer), head_(head) {}

  void attended(std::int64_t layer, std::int64_t, const Input& input, const Output& output) override {
    if (layer != layer_) return;
    for (std::int64_t i = 0; i < input.shape.queries; ++i) {
      std::fill_n(output.output.row(0, head_, i), input.shape.value_width, 0.0F);
    }
  }

 private:
  std::int64_t layer_, head_;
};

// The loss under what `meddler` makes for a batch.
template <class Make>
double loss_under(const models::PretrainedModel& model, Texts texts, const InterventionOptions& options,
                  const Make& meddler) {
  metrics::Mean nll;
  const std::int64_t tokens =
      batch_tokens(model.description(), texts, {.threads = options.threads, .memory = options.memory, .progress = {}});
  for_batches(texts, tokens, [&](const models::TokenBatch& batch, std::int64_t) {
    auto observer = meddler(batch);
    const models::Predictions predictions =
        models::run_model<float>(model.description(), model, batch, {.threads = options.threads}, &observer);
    for (const double log_likelihood : predictions.log_likelihoods) {
      if (!std::isnan(log_likelihood)) nll.add(-log_likelihood);
    }
    stop_if_interrupted();
  });
  return nll.value();
}

}  // namespace

InterventionCosts intervention_costs(const models::PretrainedModel& model, Texts texts,
                                     const InterventionOptions& options) {
  const std::vector<models::LayerDescription>& layers = model.description().layers;
  const auto count = std::ssize(layers);
  std::int64_t passes = 2 + count, done = 0;
  if (options.heads) {
    for (const models::LayerDescription& layer : layers) passes += layer.attention.heads;
  }
  const auto pass_done = [&] {
    if (options.progress) options.progress(static_cast<double>(++done) / static_cast<double>(passes));
  };
  const auto without_sinks = [&](std::int64_t layer) {
    const double nll = loss_under(model, texts, options, [&](const models::TokenBatch& batch) {
      return WithoutSinks(model.description(), batch, layer);
    });
    pass_done();
    return Intervention{layer, -1, nll};
  };
  InterventionCosts costs;
  try {
    costs.nll =
        loss_under(model, texts, options, [](const models::TokenBatch&) { return models::ForwardObserver<float>(); });
    pass_done();
    for (std::int64_t layer = -1; layer < count; ++layer) costs.sinks.push_back(without_sinks(layer));
    for (std::int64_t layer = 0; options.heads && layer < count; ++layer) {
      for (std::int64_t head = 0; head < layers[layer].attention.heads; ++head) {
        const double nll =
            loss_under(model, texts, options, [&](const models::TokenBatch&) { return WithoutHead(layer, head); });
        costs.heads.push_back({layer, head, nll});
        pass_done();
      }
    }
  } catch (const Interrupted&) {  // what was done is kept
  }
  return costs;
}

}  // namespace polariscope::audit
