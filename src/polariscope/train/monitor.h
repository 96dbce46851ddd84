// What a step was: loss, norms, and the statistics of every head's attention.
#pragma once

#include "polariscope/attention/torch/attend.h"
#include "polariscope/train/trainable.h"

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace polariscope::train {

// Means over the rows and sequences of a batch, one number a head, of the statistics that attention/statistics.h
// defines: the maximum is of |p|, the sum of a row what a normaliser divides by (of e^z, Σ p). Of forms with negative
// weights, entropy is that of |w|/Σ|w|. frobenius_norm is ‖P‖_F of a map.
struct LayerRecord {
  std::vector<double> entropy, frobenius_norm, maximum, first_key, logit_variance, row_sum;
};

// Its members under the names that logs have.
inline constexpr std::array kLayerNumbers{std::pair{"entropy", &LayerRecord::entropy},
                                          std::pair{"frobenius_norm", &LayerRecord::frobenius_norm},
                                          std::pair{"maximum", &LayerRecord::maximum},
                                          std::pair{"first_key", &LayerRecord::first_key},
                                          std::pair{"logit_variance", &LayerRecord::logit_variance},
                                          std::pair{"row_sum", &LayerRecord::row_sum}};

struct StepRecord {
  std::int64_t step = 0;                                      // counted from 1
  double loss = 0.0, gradient_norm = 0.0, update_norm = 0.0;  // ‖g‖₂ and ‖θ' - θ‖₂ over all parameters
  std::vector<LayerRecord> layers;
};

// The statistics that a record needs of attend().
const std::vector<std::string>& monitored_statistics();

LayerRecord layer_record(const attention::TensorStatistics& statistics);

// [layers, heads] each, in the order of kLayerNumbers.
std::vector<HeadNumbers> head_numbers(const std::vector<LayerRecord>& layers);

}  // namespace polariscope::train
