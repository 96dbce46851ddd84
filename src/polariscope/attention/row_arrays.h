// The arrays of the rows by name, for languages that know them by it.
#pragma once

#include "polariscope/reweighting/attention_form.h"

#include <span>
#include <string_view>
#include <vector>

namespace polariscope::attention {

struct RowArray {
  std::string_view name;        // of its member of RowStatistics or AttentionOutput; column_means of neither
  bool statistic = true;        // of RowStatistics
  bool differentiable = false;  // of RowStatisticsGradient
};

// In the order of RowStatistics, and then what is none of it.
std::span<const RowArray> row_arrays();

// Only exponential weights have one.
bool has_log_sum_exp(const reweighting::AttentionForm& form);

// Names of those that the form has.
std::vector<std::string_view> statistic_names(const reweighting::AttentionForm& form);

}  // namespace polariscope::attention
