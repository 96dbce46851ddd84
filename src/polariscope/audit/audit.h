// A pretrained model over texts, and what every head and layer of it did there. Definitions: docs/audit.md.
#pragma once

#include "polariscope/audit/row_arrays.h"
#include "polariscope/metrics/mean.h"
#include "polariscope/models/pretrained/parameters.h"
#include "polariscope/models/pretrained/product_precision.h"

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <vector>

namespace polariscope::audit {

enum class Precision { kFloat32, kBfloat16, kFloat64 };

struct AuditOptions {
  Precision precision = Precision::kFloat32;
  bool row_arrays = false;
  // What takes a second look at the weights: received, sinks, leading and support.
  bool keys = true;
  std::int64_t unpredicted = 0;  // so many of a text's predictions, from its start, do not count
  int threads = 0;               // 0: one a processor
  std::int64_t memory = 0;       // bytes that may be held at once, beside the model's file (memory.h); 0: no limit
  // Called with the share that is done, in [0, 1].
  std::function<void(double share)> progress;
};

// A key that many rows look at: mean p over the rows that see it, kSinkRows at least.
struct SinkKey {
  std::int64_t text, token;
  double share;
};

constexpr double kSinkShare = 0.3;  // Gu et al. 2024
constexpr std::int64_t kSinkRows = 32;
constexpr std::int64_t kReceivedKeys = 256;
constexpr std::size_t kLargest = 8;
constexpr int kEntropyBins = 20;

// Of p, the weights of a head as they multiply the values, over the rows of all texts; z are its logits.
struct HeadResult {
  metrics::Mean entropy;            // -Σ p ln p, nats
  metrics::Mean relative_entropy;   // of p/Σp, over that of as many equal weights; rows that see one key are left out
  metrics::Mean first_key;          // p of key 0, 0 where a row does not see it
  metrics::Mean first_visible_key;  // p of the first key that the row sees
  metrics::Mean maximum;            // the largest p
  metrics::Mean flat_share;         // 1/n of n visible keys: what equal weights would give the first one
  metrics::Mean sparsity;           // the largest p/Σp (polarisation paper, E.2)
  metrics::Mean row_sum;            // Σp
  metrics::Mean logit_variance;     // of z over the visible keys, population
  metrics::Mean support;            // the least number of keys with 90 % of Σp, over some rows of each text
  double largest_logit = -std::numeric_limits<double>::infinity();
  // β: exponent of relative entropy's odds H/(ln n - H) against the variance of z, of the texts' means; NaN below three
  // texts.
  double beta = std::numeric_limits<double>::quiet_NaN();
  std::vector<std::int64_t> relative_entropies;    // rows with it in each of kEntropyBins equal bins of [0, 1]
  std::vector<metrics::Mean> entropy_by_position;  // of rows [2^b - 1, 2^(b+1) - 1)
  // Mean p that key k has of the rows that see it (Gu et al. 2024), over texts, of the first kReceivedKeys.
  std::vector<metrics::Mean> received;
  std::vector<SinkKey> sinks;  // keys of which that is largest and above kSinkShare: at most kLargest
  metrics::Mean leading;       // p of the keys that begin a text with one and the same token, summed, over texts
  metrics::Mean query_norm, key_norm;
  // ‖v‖ of the first key over the median of its text: a sink's value is small where the head does nothing by it.
  metrics::Mean first_value_ratio;
};

struct LargeActivation {
  std::int64_t text, token, channel;
  double value, ratio;  // |value| over the median of |x| of its text in this layer
};

struct LayerResult {
  std::vector<HeadResult> heads = {};
  metrics::Mean hidden_norm = {};        // ‖x‖ of the residual stream after it, before the final norm
  metrics::Mean kurtosis = {};           // of all numbers of a text's residual stream, over texts
  metrics::Mean median_activation = {};  // median of |x|, over texts
  // Those with the largest |x| of all texts: at most kLargest, the largest first.
  std::vector<LargeActivation> largest = {};
  std::int64_t massive = 0;  // of all texts: |x| > 100 and at least 1000 times the median (Sun et al. 2024)
};

struct TextResult {
  std::int64_t tokens = 0, predicted = 0;
  double nll = 0.0;  // mean of -ln p over the tokens predicted, nats; NaN where there is none
};

struct AuditResult {
  std::vector<LayerResult> layers;
  std::vector<TextResult> texts;    // those that were finished
  metrics::Mean nll;                // over all tokens predicted
  bool interrupted = false;         // then the rest is of the texts that were finished and of what was seen of others
  std::optional<RowArrays> arrays;  // where they were asked for
};

using Texts = std::span<const std::vector<std::int32_t>>;

// `description` is the model's own or a variation of it. An encoder predicts each token from the whole text, itself
// included; others the next one. Throws Error for no text, one that does not fit the model (token_batch.h), and hidden
// states that are not finite, and where memory does not suffice (memory.h).
AuditResult audit(const models::Description& description, const models::PretrainedModel& model, Texts texts,
                  const AuditOptions& options);

}  // namespace polariscope::audit
