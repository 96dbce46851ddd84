// The arrays of the rows by name.
#include "polariscope/attention/torch/internal/arguments.h"
#include "polariscope/base/error.h"
#include "polariscope/base/names.h"

#include <algorithm>
#include <array>

namespace polariscope::attention {
namespace {

struct RowArray {
  std::string_view name;
  bool statistic = true;
  bool differentiable = false;
};

// In the order of RowStatistics, and then what is none of it.
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
    RowArray{.name = "column_means", .statistic = false},
    RowArray{.name = "shift", .statistic = false},
    RowArray{.name = "inverse", .statistic = false},
    RowArray{.name = "mass", .statistic = false},
};

}  // namespace

bool has_log_sum_exp(const reweighting::AttentionForm& form) {
  return form.rule == reweighting::RowRule::kElementwise && form.weight == reweighting::WeightFunction::kExp;
}

bool is_differentiable(std::string_view statistic) {
  return std::any_of(kRowArrays.begin(), kRowArrays.end(),
                     [&](const RowArray& array) { return array.name == statistic && array.differentiable; });
}

at::ScalarType type_of(std::string_view statistic, at::ScalarType computed) {
  if (statistic == "argmax" || statistic == "visible") return at::kInt;
  return statistic == "non_finite" ? at::kBool : computed;
}

std::vector<std::string> statistics_of(std::string_view reweighting) {
  const reweighting::AttentionForm& form = reweighting::find_attention_form(reweighting);
  Names names;
  for (const RowArray& array : kRowArrays) {
    if (array.statistic && (array.name != "log_sum_exp" || has_log_sum_exp(form))) names.emplace_back(array.name);
  }
  return names;
}

void check(const Names& statistics, const reweighting::AttentionForm& form) {
  for (auto name = statistics.begin(); name != statistics.end(); ++name) {
    std::vector<std::string_view> known;
    for (const RowArray& array : kRowArrays) known.push_back(array.name);
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
