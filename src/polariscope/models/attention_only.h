// Attention and nothing else: the model of in-context regression of the Lipschitz paper, section 5 (protocol:
// docs/training.md). Tokens X are [tokens, 4]: three features x and y; the answer is the last token's last entry.
//
//   Q = norm(X W_Q),  K = norm(X W_K),  V = X W_V,  Z = QKᵀ,  P = weights of Z (reweighting/attention_form.h)
//
// The loss, its gradient and the statistics of every layer come from one pass over a batch, a vector of sequences at a
// time: forward and backward through all layers with all that is between in cache. No LibTorch.
#pragma once

#include "polariscope/reweighting/attention_form.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::models {

inline constexpr int kTokenWidth = 4;

// What a layer makes of X. The paper leaves it open.
enum class LayerForm {
  kResidual,   // X + PV/N
  kCovariate,  // X + PV/N; W_Q and W_K are 3 x 3 and see x alone, the value map is blockdiag(W_V 3 x 3, 1)
  kPlain,      // PV
};

// On every query and key, over its entries a_c; ε = 1e-5.
enum class QkNorm {
  kNo,
  kLayer,  // (a - mean)/√(variance + ε)·gain + bias (Henry et al. 2020; Dehghani et al. 2023)
  kRms,    // a/√(mean a² + ε)·gain
  kL2,     // a/√(Σa² + ε), and one gain on the scores, from log₂(N² - N) (Henry et al. 2020)
};

// "residual", "covariate", "plain"; "no", "layer", "rms", "l2". Throw Error with the nearest known name.
LayerForm find_layer_form(std::string_view name);
QkNorm find_qk_norm(std::string_view name);

struct AttentionOnlyOptions {
  std::string attention = "softmax";  // of attention_forms(), but for those that map queries
  LayerForm layer_form = LayerForm::kResidual;
  QkNorm qk_norm = QkNorm::kNo;
  int layers = 5;       // in [1, 64]
  int tokens = 20;      // N, in [2, 64]; the query is the last
  bool causal = false;  // token i sees the i tokens up to itself
};

// One parameter among the flat numbers: row-major [shape] from `first` on. Names are layer1.query, layer1.key,
// layer1.value ([in, out]), layer1.query_norm.gain and .bias, layer1.key_norm.…, layer1.gain and layer1.sink.
struct ParameterPlace {
  std::string name;
  std::vector<std::int64_t> shape;
  std::int64_t first = 0, count = 0;
  double start = 0.0;  // of all its numbers, where bound is 0
  double bound = 0.0;  // U(-bound, bound), bound = 1/√fan_in
};

// Of one layer over the rows and sequences of a batch. What a row's numbers are: attention/statistics.h.
struct AttentionOnlyStatistics {
  double entropy = 0.0, entropy_deviation = 0.0;  // mean and standard deviation
  double frobenius_norm = 0.0;                    // mean of ‖P‖_F over the maps
  double logit_variance = 0.0;                    // of QKᵀ after norm and transform, of kernels before φ
  double maximum = 0.0, first_key = 0.0, skewness = 0.0, row_sum = 0.0;  // means
  // Share of rows without any weight; of the ReLU kernel, of rows whose query has no feature above the offset.
  double dead_rows = 0.0;
};

struct AttentionOnlyResult {
  double loss = 0.0;  // mean of (answer - y)²
  std::vector<AttentionOnlyStatistics> layers;
};

// One sequence in one layer, row by row.
struct AttentionOnlyMap {
  std::vector<double> weights;                  // P, [N, N] row-major; 0 where a causal row sees nothing
  std::vector<double> entropy, logit_variance;  // [N], as above
};

// T is float or double.
template <class T>
class AttentionOnly {
 public:
  // Throws Error for numbers and names out of range.
  explicit AttentionOnly(const AttentionOnlyOptions& options);

  const std::vector<ParameterPlace>& parameters() const { return places_; }
  std::int64_t parameter_count() const { return count_; }

  // From `seed`, each parameter from a stream of its own: float and double start from the same numbers.
  std::vector<T> initial_values(std::uint64_t seed) const;

  // values: [parameter_count]; tokens: [batch, N, 4], batch >= 1; answers: [batch]; gradient: [parameter_count], is
  // overwritten. threads: 0 for one a processor; the same bits for any number. NaN and infinity pass through. Throws
  // Error for sizes that do not fit.
  AttentionOnlyResult step(std::span<const T> values, std::span<const T> tokens, std::span<const T> answers,
                           std::span<T> gradient, int threads = 1) const;

  // Every layer's map of one sequence, tokens: [N, 4], with the bits that step() has of it. Throws Error for sizes that
  // do not fit.
  std::vector<AttentionOnlyMap> maps(std::span<const T> values, std::span<const T> tokens) const;

 private:
  AttentionOnlyOptions options_;
  reweighting::AttentionForm form_;
  std::vector<ParameterPlace> places_;
  std::int64_t count_ = 0;
};

}  // namespace polariscope::models
