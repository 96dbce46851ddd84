// Attention of kernels in linear time, for tests: what it has, alone and beside what only all pairs have.
#pragma once

#include "agreement.h"
#include "polariscope/attention/internal/linear.h"
#include "support/simd_targets.h"

#include <array>
#include <cstring>
#include <string_view>
#include <vector>

namespace polariscope::testing {

// Of the statistics with gradients, those whose gradient comes in linear time.
inline constexpr std::array<std::string_view, 4> kLinearGradients{"sum_of_squares", "first_key", "first_visible_key",
                                                                  "logit_mean"};
inline constexpr std::array<std::string_view, 6> kLinearStatistics{"sum_of_squares", "first_key",   "first_visible_key",
                                                                   "row_sum",        "log_sum_exp", "logit_mean"};

template <std::size_t n>
bool has(const std::array<std::string_view, n>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// The kernels that are sums over features.
inline std::vector<reweighting::AttentionForm> kernel_forms() {
  std::vector<reweighting::AttentionForm> forms;
  for (const reweighting::AttentionForm& form : reweighting::attention_forms()) {
    if (form.feature != reweighting::FeatureMap::kNone) forms.push_back(form);
  }
  return forms;
}

template <class T>
Upstream<T> linear_upstream(const Problem<T>& problem, RandomStream& random) {
  Upstream<T> upstream;
  for (std::size_t n = 0; n < upstream.arrays.size(); ++n) {
    if (has(kLinearGradients, kDifferentiable<T>[n].name)) upstream.draw(n, problem, random);
  }
  return upstream;
}

template <class T>
attention::AttentionOutput<T> linear_view(Forward<T>& forward) {
  attention::AttentionOutput<T> to = forward.view();
  for (const StatisticName<T>& statistic : kStatistics<T>) {
    if (!has(kLinearStatistics, statistic.name)) to.statistics.*statistic.member = nullptr;
  }
  to.statistics.argmax = nullptr;
  return to;
}

template <class T>
attention::AttentionGradient<T> linear_view(Backward<T>& backward) {
  attention::AttentionGradient<T> to = backward.view();
  to.bias = {};
  to.parameters = {};
  return to;
}

// What linear time has is its own, the rest that of the kernels of all pairs.
template <class T>
Everything<T> linear_everything(Problem<T>& problem, const Upstream<T>& upstream, int threads) {
  Everything<T> pairs = kernel_everything(problem, upstream, 1);
  Everything<T> all(problem);
  const attention::AttentionInput<T> input = problem.input();
  EXPECT_TRUE(attention::linear_serves(input, linear_view(all.forward)));
  EXPECT_TRUE(attention::linear_serves(input, upstream.view(), linear_view(all.backward)));
  EXPECT_TRUE(attention::attend_linear(input, linear_view(all.forward), threads));
  EXPECT_TRUE(attention::attend_linear_backward<T>(input, linear_view(all.forward), problem.d_output.constant_view(),
                                                   upstream.view(), linear_view(all.backward), threads));
  for (std::size_t n = 0; n < kStatistics<T>.size(); ++n) {
    if (!has(kLinearStatistics, kStatistics<T>[n].name)) all.forward.floating[n] = pairs.forward.floating[n];
  }
  all.forward.argmax = pairs.forward.argmax;
  all.columns = pairs.columns;
  all.weights = pairs.weights;
  all.backward.bias = pairs.backward.bias;
  all.backward.parameters = pairs.backward.parameters;
  return all;
}

}  // namespace polariscope::testing
