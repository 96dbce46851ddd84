// What is measured of a text's residual stream after a layer.
#pragma once

#include "polariscope/audit/audit.h"
#include "polariscope/models/pretrained/cpu_rows.h"

#include <cstdint>
#include <vector>

namespace polariscope::audit {

struct StreamMeasures {
  std::vector<double> norms = {};             // ‖x‖ of each row
  double kurtosis = 0.0;                      // metrics/kurtosis.h
  double median = 0.0;                        // of |x|; kurtosis and median are NaN where a number is not finite
  std::vector<LargeActivation> largest = {};  // at most kLargest, the largest first
  std::int64_t massive = 0;                   // metrics/massive_activations.h
};

// ‖x‖ of each row.
template <class T>
std::vector<double> row_norms(const models::Rows<T>& x, int threads);

// x: the rows of text number `text`.
template <class T>
StreamMeasures measured_stream(const models::Rows<T>& x, std::int64_t text, int threads);

}  // namespace polariscope::audit
