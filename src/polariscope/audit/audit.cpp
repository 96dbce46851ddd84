#include "polariscope/audit/audit.h"

#include "polariscope/audit/internal/batches.h"
#include "polariscope/audit/internal/listener.h"
#include "polariscope/audit/memory.h"
#include "polariscope/base/error.h"
#include "polariscope/base/interrupt.h"
#include "polariscope/models/pretrained/run_model.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace polariscope::audit {
namespace {

AuditResult empty_result(const models::Description& model, Texts texts, bool row_arrays) {
  AuditResult result;
  std::int64_t heads = 0, tokens = 0;
  for (const models::LayerDescription& layer : model.layers) {
    result.layers.push_back({.heads = std::vector<HeadResult>(layer.attention.heads)});
    heads = std::max(heads, layer.attention.heads);
  }
  for (const std::vector<std::int32_t>& text : texts) tokens = std::max<std::int64_t>(tokens, std::ssize(text));
  if (row_arrays) {
    result.arrays.emplace(std::ssize(texts), std::ssize(model.layers), heads, tokens,
                          model.has_head ? model.vocabulary : 0);
  }
  return result;
}

// Of the texts of a batch, `first_text` and those after it.
void keep_predictions(const models::Predictions& predictions, const models::TokenBatch& batch, std::int64_t first_text,
                      std::int64_t unpredicted, AuditResult& result) {
  for (std::int64_t t = 0; t < batch.texts(); ++t) {
    metrics::Mean nll;
    for (std::int64_t i = batch.start(t) + unpredicted; i < batch.start(t) + batch.length(t); ++i) {
      const double log_likelihood = predictions.log_likelihoods[i];
      if (!std::isnan(log_likelihood)) nll.add(-log_likelihood);
    }
    result.texts.push_back({batch.length(t), nll.count(), nll.value()});
    result.nll.add(nll);
    if (!result.arrays || result.arrays->vocabulary == 0) continue;
    result.arrays->nll[first_text + t] = nll.value();
    std::ranges::copy(predictions.last_logits[t],
                      result.arrays->logits_last.begin() + (first_text + t) * result.arrays->vocabulary);
  }
}

template <class T>
AuditResult audit_with(const models::Description& description, const models::PretrainedModel& model, Texts texts,
                       const AuditOptions& options) {
  AuditResult result = empty_result(description, texts, options.row_arrays);
  const models::RunOptions how{.precision = options.precision == Precision::kBfloat16
                                                ? models::ProductPrecision::kBfloat16
                                                : models::ProductPrecision::kFloat32,
                               .last_logits = options.row_arrays,
                               .threads = options.threads};
  double total = 0.0, done = 0.0;  // tokens times steps: the embedding, every layer, the head
  const double steps = static_cast<double>(description.layers.size()) + 2.0;
  for (const std::vector<std::int32_t>& text : texts) total += steps * static_cast<double>(text.size());

  Listener<T> listener(description, options.keys, options.threads, result);
  try {
    for_batches(texts, batch_tokens(description, texts, options),
                [&](const models::TokenBatch& batch, std::int64_t first) {
                  const auto step_done = [&] {
                    done += static_cast<double>(batch.rows());
                    if (options.progress) options.progress(done / total);
                    stop_if_interrupted();
                  };
                  listener.begin(batch, first, step_done);
                  keep_predictions(models::run_model<T>(description, model, batch, how, &listener), batch, first,
                                   options.unpredicted, result);
                  step_done();
                });
  } catch (const Interrupted&) {
    result.interrupted = true;
  }
  listener.finish();
  return result;
}

}  // namespace

AuditResult audit(const models::Description& description, const models::PretrainedModel& model, Texts texts,
                  const AuditOptions& options) {
  if (texts.empty()) throw Error("there is no text to run the model over");
  for (std::int64_t t = 0; t < std::ssize(texts); ++t) models::require_fitting(description, texts[t], t);
  return options.precision == Precision::kFloat64 ? audit_with<double>(description, model, texts, options)
                                                  : audit_with<float>(description, model, texts, options);
}

}  // namespace polariscope::audit
