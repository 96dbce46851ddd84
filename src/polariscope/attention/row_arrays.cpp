#include "polariscope/attention/row_arrays.h"

#include <array>

namespace polariscope::attention {
namespace {

constexpr std::array kRowArrays{
    RowArray{.name = "entropy", .differentiable = true},
    RowArray{.name = "sum_of_squares", .differentiable = true},
    RowArray{.name = "maximum", .differentiable = true},
    RowArray{.name = "argmax"},
    RowArray{.name = "first_key", .differentiable = true},
    RowArray{.name = "row_sum"},
    RowArray{.name = "log_sum_exp", .differentiable = true},
    RowArray{.name = "logit_mean", .differentiable = true},
    RowArray{.name = "logit_variance", .differentiable = true},
    RowArray{.name = "logit_maximum"},
    RowArray{.name = "skewness"},
    RowArray{.name = "visible"},
    RowArray{.name = "non_finite"},
    RowArray{.name = "first_visible_key", .differentiable = true},
    RowArray{.name = "column_means", .statistic = false},
    RowArray{.name = "shift", .statistic = false},
    RowArray{.name = "inverse", .statistic = false},
    RowArray{.name = "mass", .statistic = false},
};

}  // namespace

std::span<const RowArray> row_arrays() { return kRowArrays; }

bool has_log_sum_exp(const reweighting::AttentionForm& form) {
  return form.rule == reweighting::RowRule::kElementwise && form.weight == reweighting::WeightFunction::kExp;
}

std::vector<std::string_view> statistic_names(const reweighting::AttentionForm& form) {
  std::vector<std::string_view> names;
  for (const RowArray& array : kRowArrays) {
    if (array.statistic && (array.name != "log_sum_exp" || has_log_sum_exp(form))) names.push_back(array.name);
  }
  return names;
}

}  // namespace polariscope::attention
