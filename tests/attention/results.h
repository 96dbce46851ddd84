// All that attention returns, owned, for tests.
#pragma once

#include "polariscope/attention/oracle/oracle.h"
#include "tensors.h"

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace polariscope::testing {

template <class T>
struct StatisticName {
  std::string_view name;
  T* attention::RowStatistics<T>::*member;
};

// The floating statistics.
template <class T>
inline constexpr std::array<StatisticName<T>, 11> kStatistics{
    {{"entropy", &attention::RowStatistics<T>::entropy},
     {"sum_of_squares", &attention::RowStatistics<T>::sum_of_squares},
     {"maximum", &attention::RowStatistics<T>::maximum},
     {"first_key", &attention::RowStatistics<T>::first_key},
     {"row_sum", &attention::RowStatistics<T>::row_sum},
     {"log_sum_exp", &attention::RowStatistics<T>::log_sum_exp},
     {"logit_mean", &attention::RowStatistics<T>::logit_mean},
     {"logit_variance", &attention::RowStatistics<T>::logit_variance},
     {"logit_maximum", &attention::RowStatistics<T>::logit_maximum},
     {"skewness", &attention::RowStatistics<T>::skewness},
     {"first_visible_key", &attention::RowStatistics<T>::first_visible_key}}};

template <class T>
struct StatisticGradientName {
  std::string_view name;
  T* attention::RowStatistics<T>::*statistic;
  const T* attention::RowStatisticsGradient<T>::*gradient;
};

// Those that a gradient can flow through.
template <class T>
inline constexpr std::array<StatisticGradientName<T>, 8> kDifferentiable{
    {{"entropy", &attention::RowStatistics<T>::entropy, &attention::RowStatisticsGradient<T>::entropy},
     {"sum_of_squares", &attention::RowStatistics<T>::sum_of_squares,
      &attention::RowStatisticsGradient<T>::sum_of_squares},
     {"maximum", &attention::RowStatistics<T>::maximum, &attention::RowStatisticsGradient<T>::maximum},
     {"first_key", &attention::RowStatistics<T>::first_key, &attention::RowStatisticsGradient<T>::first_key},
     {"log_sum_exp", &attention::RowStatistics<T>::log_sum_exp, &attention::RowStatisticsGradient<T>::log_sum_exp},
     {"logit_mean", &attention::RowStatistics<T>::logit_mean, &attention::RowStatisticsGradient<T>::logit_mean},
     {"logit_variance", &attention::RowStatistics<T>::logit_variance,
      &attention::RowStatisticsGradient<T>::logit_variance},
     {"first_visible_key", &attention::RowStatistics<T>::first_visible_key,
      &attention::RowStatisticsGradient<T>::first_visible_key}}};

template <class T>
struct ParameterName {
  std::string_view name;
  double reweighting::AttentionForm::*parameter;
  T* attention::AttentionGradient<T>::Parameters::*gradient;
};

// A form's parameters that have gradients.
template <class T>
inline constexpr std::array<ParameterName<T>, 7> kParameters{
    {{"d_transform_factor", &reweighting::AttentionForm::transform_factor,
      &attention::AttentionGradient<T>::Parameters::transform_factor},
     {"d_sum_offset", &reweighting::AttentionForm::sum_offset,
      &attention::AttentionGradient<T>::Parameters::sum_offset},
     {"d_count_power", &reweighting::AttentionForm::count_power,
      &attention::AttentionGradient<T>::Parameters::count_power},
     {"d_gamma", &reweighting::AttentionForm::gamma, &attention::AttentionGradient<T>::Parameters::gamma},
     {"d_zeta", &reweighting::AttentionForm::zeta, &attention::AttentionGradient<T>::Parameters::zeta},
     {"d_epsilon", &reweighting::AttentionForm::epsilon, &attention::AttentionGradient<T>::Parameters::epsilon},
     {"d_alpha", &reweighting::AttentionForm::alpha, &attention::AttentionGradient<T>::Parameters::alpha}}};

// Of exponential weights, which log_sum_exp is defined for.
inline bool has_log_sum_exp(const reweighting::AttentionForm& form) {
  return form.rule == reweighting::RowRule::kElementwise && form.weight == reweighting::WeightFunction::kExp;
}

// What attend() writes.
template <class T>
struct Forward {
  Tensor<T> output;
  std::array<std::vector<T>, kStatistics<T>.size()> floating;
  std::vector<std::int32_t> argmax, visible;
  std::vector<std::uint8_t> non_finite;
  std::vector<T> shift, inverse, mass;

  explicit Forward(const Problem<T>& problem)
      : output(problem.shape.batch, problem.shape.heads, problem.shape.queries, problem.shape.value_width,
               Layout::kRowsFirst, 3),
        argmax(problem.rows(), -7),
        visible(problem.rows(), -7),
        non_finite(problem.rows(), 7),
        shift(problem.rows(), T(-7)),
        inverse(problem.rows(), T(-7)),
        mass(problem.rows(), T(-7)) {
    for (std::size_t n = 0; n < floating.size(); ++n) {
      const bool wanted = kStatistics<T>[n].name != "log_sum_exp" || has_log_sum_exp(problem.form);
      if (wanted) floating[n].assign(problem.rows(), T(-7));
    }
  }

  attention::AttentionOutput<T> view() {
    attention::AttentionOutput<T> to;
    to.output = output.view();
    for (std::size_t n = 0; n < floating.size(); ++n) {
      if (!floating[n].empty()) to.statistics.*kStatistics<T>[n].member = floating[n].data();
    }
    to.statistics.argmax = argmax.data();
    to.statistics.visible = visible.data();
    to.statistics.non_finite = non_finite.data();
    to.shift = shift.data();
    to.inverse = inverse.data();
    to.mass = mass.data();
    return to;
  }

  const std::vector<T>& statistic(std::string_view name) const {
    std::size_t n = 0;
    while (kStatistics<T>[n].name != name) ++n;
    return floating.at(n);
  }
};

// What attend_backward() writes, for upstream gradients of every statistic.
template <class T>
struct Backward {
  Tensor<T> query, key, value, bias;
  std::vector<T> sink;
  std::array<std::vector<T>, kParameters<T>.size()> parameters;

  explicit Backward(const Problem<T>& problem)
      : query(problem.shape.batch, problem.shape.heads, problem.shape.queries, problem.shape.width, Layout::kRowsFirst,
              2),
        key(problem.shape.batch, problem.shape.key_heads, problem.shape.keys, problem.shape.width),
        value(problem.shape.batch, problem.shape.key_heads, problem.shape.keys, problem.shape.value_width),
        sink(problem.shape.heads, T(-7)) {
    const attention::AttentionShape& shape = problem.shape;
    if (problem.bias_gradient) bias = Tensor<T>(shape.batch, shape.heads, shape.queries, shape.keys);
    for (std::vector<T>& heads : parameters) heads.assign(shape.heads, T(-7));
  }

  attention::AttentionGradient<T> view() {
    attention::AttentionGradient<T> to{query.view(), key.view(), value.view(), bias.view(), sink.data()};
    for (std::size_t n = 0; n < parameters.size(); ++n)
      to.parameters.*kParameters<T>[n].gradient = parameters[n].data();
    return to;
  }
};

// Upstream gradients of the statistics, one array for each of kDifferentiable; an empty one is not given.
template <class T>
struct Upstream {
  std::array<std::vector<T>, kDifferentiable<T>.size()> arrays;

  attention::RowStatisticsGradient<T> view() const {
    attention::RowStatisticsGradient<T> from;
    for (std::size_t n = 0; n < arrays.size(); ++n) {
      if (!arrays[n].empty()) from.*kDifferentiable<T>[n].gradient = arrays[n].data();
    }
    return from;
  }
  void draw(std::size_t n, const Problem<T>& problem, RandomStream& random) {
    if (kDifferentiable<T>[n].name == "log_sum_exp" && !has_log_sum_exp(problem.form)) return;
    arrays[n].resize(problem.rows());
    for (T& x : arrays[n]) x = static_cast<T>(random.normal());
  }
  template <class U>
  Upstream<U> as() const {
    Upstream<U> other;
    for (std::size_t n = 0; n < arrays.size(); ++n) other.arrays[n].assign(arrays[n].begin(), arrays[n].end());
    return other;
  }
};

template <class T>
Upstream<T> random_upstream(const Problem<T>& problem, RandomStream& random) {
  Upstream<T> upstream;
  for (std::size_t n = 0; n < upstream.arrays.size(); ++n) upstream.draw(n, problem, random);
  return upstream;
}

// As bits: NaN equals NaN, and 0 is not -0.
template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

template <class T>
Forward<T> oracle_forward(Problem<T>& problem) {
  Forward<T> forward(problem);
  attention::oracle_attend(problem.input(), forward.view());
  return forward;
}

template <class T>
Backward<T> oracle_backward(Problem<T>& problem, const Upstream<T>& upstream) {
  Backward<T> backward(problem);
  attention::oracle_attend_backward(problem.input(), problem.d_output.constant_view(), upstream.view(),
                                    backward.view());
  return backward;
}

template <class T>
std::vector<T> oracle_p(Problem<T>& problem) {
  std::vector<T> p(problem.rows() * problem.shape.keys);
  attention::oracle_weights(problem.input(), p.data());
  return p;
}

}  // namespace polariscope::testing
