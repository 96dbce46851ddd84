// The arrays of the rows by name.
#include "polariscope/attention/row_arrays.h"
#include "polariscope/attention/torch/internal/arguments.h"
#include "polariscope/base/error.h"
#include "polariscope/base/names.h"

#include <algorithm>

namespace polariscope::attention {

bool is_differentiable(std::string_view statistic) {
  return std::ranges::any_of(row_arrays(),
                             [&](const RowArray& array) { return array.name == statistic && array.differentiable; });
}

at::ScalarType type_of(std::string_view statistic, at::ScalarType computed) {
  if (statistic == "argmax" || statistic == "visible") return at::kInt;
  return statistic == "non_finite" ? at::kBool : computed;
}

std::vector<std::string> statistics_of(std::string_view reweighting) {
  const auto names = statistic_names(reweighting::find_attention_form(reweighting));
  return {names.begin(), names.end()};
}

void check(const Names& statistics, const reweighting::AttentionForm& form) {
  for (auto name = statistics.begin(); name != statistics.end(); ++name) {
    std::vector<std::string_view> known;
    for (const RowArray& array : row_arrays()) known.push_back(array.name);
    if (std::find(known.begin(), known.end(), *name) == known.end()) {
      throw Error("attend: {}", unknown_name("statistic", *name, known));
    }
    if (std::find(statistics.begin(), name, *name) != name) throw Error("attend: statistic {} is there twice", *name);
    if (*name == "log_sum_exp" && !has_log_sum_exp(form)) {
      throw Error("attend: attention {} has no log_sum_exp, only exponential weights have", form.name);
    }
  }
}

template <class T>
void point_at(AttentionOutput<T>& to, std::string_view statistic, const at::Tensor& rows) {
  RowStatistics<T>& s = to.statistics;
  if (statistic == "argmax") s.argmax = rows.data_ptr<std::int32_t>();
  if (statistic == "visible") s.visible = rows.data_ptr<std::int32_t>();
  if (statistic == "non_finite") s.non_finite = static_cast<std::uint8_t*>(rows.data_ptr());
  const std::pair<std::string_view, T**> numbers[] = {
      {"entropy", &s.entropy},
      {"sum_of_squares", &s.sum_of_squares},
      {"maximum", &s.maximum},
      {"first_key", &s.first_key},
      {"first_visible_key", &s.first_visible_key},
      {"row_sum", &s.row_sum},
      {"log_sum_exp", &s.log_sum_exp},
      {"logit_mean", &s.logit_mean},
      {"logit_variance", &s.logit_variance},
      {"logit_maximum", &s.logit_maximum},
      {"skewness", &s.skewness},
      {"shift", &to.shift},
      {"inverse", &to.inverse},
      {"mass", &to.mass},
  };
  for (const auto& [name, member] : numbers) {
    if (name == statistic) *member = rows.data_ptr<T>();
  }
}

template void point_at(AttentionOutput<float>&, std::string_view, const at::Tensor&);
template void point_at(AttentionOutput<double>&, std::string_view, const at::Tensor&);

}  // namespace polariscope::attention
