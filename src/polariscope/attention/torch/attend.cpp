#include "polariscope/attention/torch/attend.h"

#include "polariscope/attention/torch/internal/operator.h"

namespace polariscope::attention {

TensorAttention attend(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                       const AttendOptions& options, const std::vector<std::string>& statistics) {
  const Tensors results = forward_from_cpp({query, key, value, options}, statistics);
  const Tensors rows(results.begin() + 1, results.end());
  const auto get = [&](std::string_view name) { return named(statistics, rows, name); };
  return {.output = results[0],
          .statistics = {.entropy = get("entropy"),
                         .sum_of_squares = get("sum_of_squares"),
                         .maximum = get("maximum"),
                         .argmax = get("argmax"),
                         .first_key = get("first_key"),
                         .row_sum = get("row_sum"),
                         .log_sum_exp = get("log_sum_exp"),
                         .logit_mean = get("logit_mean"),
                         .logit_variance = get("logit_variance"),
                         .logit_maximum = get("logit_maximum"),
                         .skewness = get("skewness"),
                         .visible = get("visible"),
                         .non_finite = get("non_finite"),
                         .first_visible_key = get("first_visible_key"),
                         .column_means = get("column_means")}};
}

TensorAttention attend(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                       const AttendOptions& options) {
  return attend(query, key, value, options, statistics_of(options.reweighting));
}

}  // namespace polariscope::attention
