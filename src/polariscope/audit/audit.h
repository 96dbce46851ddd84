// A pretrained model over texts, and what every head and layer of it did there. Definitions: docs/audit.md.
#pragma once

#include "polariscope/audit/row_arrays.h"
#include "polariscope/metrics/mean.h"
#include "polariscope/models/pretrained/parameters.h"
#include "polariscope/models/pretrained/product_precision.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace polariscope::audit {

enum class Precision { kFloat32, kBfloat16, kFloat64 };

struct AuditOptions {
  Precision precision = Precision::kFloat32;
  bool row_arrays = false;
  int threads = 0;  // 0: one a processor
  // Called with the share that is done, in [0, 1].
  std::function<void(double share)> progress;
};

// Of p, the weights of a head as they multiply the values, over the rows of all texts.
struct HeadResult {
  metrics::Mean entropy;            // -Σ p ln p, nats
  metrics::Mean relative_entropy;   // of p/Σp, over that of as many equal weights; rows that see one key are left out
  metrics::Mean first_key;          // p of key 0, 0 where a row does not see it
  metrics::Mean first_visible_key;  // p of the first key that the row sees
  metrics::Mean maximum;            // the largest p
};

struct LayerResult {
  std::vector<HeadResult> heads;
  metrics::Mean hidden_norm;  // ‖x‖ of the residual stream after it, before the final norm
};

struct TextResult {
  std::int64_t tokens = 0, predicted = 0;
  double nll = 0.0;  // mean of -ln p over the tokens predicted, nats; NaN where there is none
};

struct AuditResult {
  std::vector<LayerResult> layers;
  std::vector<TextResult> texts;
  metrics::Mean nll;                // over all tokens predicted
  std::optional<RowArrays> arrays;  // where they were asked for
};

// `description` is the model's own or a variation of it. An encoder predicts each token from the whole text, itself
// included; others the next one. Throws Error for no text, one that does not fit the model (token_batch.h), and hidden
// states that are not finite.
AuditResult audit(const models::Description& description, const models::PretrainedModel& model,
                  std::span<const std::vector<std::int32_t>> texts, const AuditOptions& options);

}  // namespace polariscope::audit
