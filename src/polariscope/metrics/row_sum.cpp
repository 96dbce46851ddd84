#include "polariscope/metrics/row_sum.h"

#include "polariscope/metrics/internal/rows.h"
#include "polariscope/metrics/internal/shares.h"

namespace polariscope::metrics {

template <class T>
std::vector<Mean> row_sum(const AttentionMap<T>& weights) {
  return mean_over_rows(weights, signed_sum<T>);
}

template std::vector<Mean> row_sum(const AttentionMap<float>&);
template std::vector<Mean> row_sum(const AttentionMap<double>&);

}  // namespace polariscope::metrics
