// From the gradient of a row's output and statistics to that of its scores: the chain rule over the
// materialised row.
#pragma once

#include "polariscope/attention/oracle/internal/statistics.h"

#include <numeric>

namespace polariscope::attention::oracle {

// Gradients of the loss with respect to one row's statistics.
template <class T>
struct Upstream {
  T entropy = 0, sum_of_squares = 0, maximum = 0, first_key = 0, log_sum_exp = 0, logit_mean = 0, logit_variance = 0;
  T first_visible_key = 0;
};

template <class T>
Upstream<T> upstream_of(const RowStatisticsGradient<T>& from, std::int64_t index) {
  const auto read = [index](const T* array) { return array == nullptr ? T(0) : array[index]; };
  return {read(from.entropy),     read(from.sum_of_squares), read(from.maximum),        read(from.first_key),
          read(from.log_sum_exp), read(from.logit_mean),     read(from.logit_variance), read(from.first_visible_key)};
}

template <class T>
struct RowGradient {
  std::vector<T> s;  // of the scores of the visible keys
  T sink = 0;        // of the sink's z
  T transform_factor = 0, sum_offset = 0, count_power = 0, gamma = 0, zeta = 0, epsilon = 0, alpha = 0;
};

// G_j = dO·v_j + 2 gF p_j + gmax sign(p_j) [j = j*] + g0 [j = 0], the first term given.
template <class T>
void add_upstream_of_weights(const Row<T>& row, const Upstream<T>& up, std::vector<T>& dp) {
  for (std::size_t n = 0; n < row.size(); ++n) dp[n] += 2 * up.sum_of_squares * row.p[n];
  const std::size_t place = largest_place(row);
  dp[place] += row.p[place] > 0 ? up.maximum : row.p[place] < 0 ? -up.maximum : T(0);
  if (row.keys.front() == 0) dp.front() += up.first_key;
  dp.front() += up.first_visible_key;
}

// gH ∂H/∂w_j = -gH (log π_j + H) sign(w_j)/Σ|w|; 0 where w_j = 0, whose slope is infinite.
template <class T>
std::vector<T> entropy_gradient(const Row<T>& row, T upstream) {
  std::vector<T> dw(row.size(), T(0));
  const T sum = absolute_sum(row);
  if (upstream == 0 || sum < std::numeric_limits<T>::min()) return dw;
  const T row_entropy = entropy(row);
  for (std::size_t n = 0; n < row.size(); ++n) {
    const T share = std::abs(row.w[n]) / sum;
    if (share == 0) continue;
    dw[n] = -upstream * (std::log(share) + row_entropy) * (row.w[n] < 0 ? -1 : 1) / sum;
  }
  return dw;
}

template <class T>
T dot(const std::vector<T>& a, const std::vector<T>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), T(0));
}

// dw_j = (G_j - c Σ G p)/n + entropy's,  dz_j = f'(z_j) dw_j + glse p_j
template <class T>
std::vector<T> elementwise_gradient(const reweighting::AttentionForm& form, const Row<T>& row, const Upstream<T>& up,
                                    const std::vector<T>& dp, RowGradient<T>& of_row) {
  const T coupled = normaliser_slope(form, row.sum, row.unit) * dot(dp, row.p);
  if (reweighting::has_sum_offset(form)) of_row.sum_offset = -dot(dp, row.p) * row.inverse * row.unit;
  if (form.normaliser == reweighting::Normaliser::kCount) {
    of_row.count_power = -std::log(static_cast<T>(row.size())) * dot(dp, row.p);
  }
  const T d_log_sum_exp = is_softmax(form) ? up.log_sum_exp : T(0);
  const std::vector<T> dw = entropy_gradient(row, up.entropy);
  std::vector<T> dz(row.size());
  for (std::size_t n = 0; n < row.size(); ++n) {
    const T slope = lowered_slope(form, row, row.z[n]);
    dz[n] = slope * ((dp[n] - coupled) * row.inverse + dw[n]) + d_log_sum_exp * row.p[n];
  }
  if (form.normaliser == reweighting::Normaliser::kSumAndSink) {
    of_row.sink = lowered_slope(form, row, row.sink) * (-coupled * row.inverse);
    of_row.sink += d_log_sum_exp * row.sink_weight * row.inverse;
  }
  return dz;
}

// p = clip((ζ - γ) π + γ, 0, 1):  h_j = (ζ - γ) dp_j where 0 < p_j < 1, else 0;  dz_j = π_j (h_j - Σ h π)
template <class T>
std::vector<T> clipped_softmax_gradient(const reweighting::AttentionForm& form, const Row<T>& row, std::vector<T> dp,
                                        RowGradient<T>& of_row) {
  const T stretch = static_cast<T>(form.zeta) - static_cast<T>(form.gamma);
  for (std::size_t n = 0; n < row.size(); ++n) {
    dp[n] *= row.p[n] > 0 && row.p[n] < 1 ? T(1) : T(0);
    of_row.gamma += dp[n] * (1 - row.soft[n]);
    of_row.zeta += dp[n] * row.soft[n];
    dp[n] *= stretch;
  }
  const T mean = dot(dp, row.soft);
  std::vector<T> dz(row.size());
  for (std::size_t n = 0; n < row.size(); ++n) dz[n] = row.soft[n] * (dp[n] - mean);
  return dz;
}

// p_j = max(a_j, 0)/N with a = e^z - 1, N = Σ|a| + ε:  dz_j = e^{z_j}/N ([a_j > 0] dp_j - sign(a_j) Σ dp p)
template <class T>
std::vector<T> softpick_gradient(const Row<T>& row, const std::vector<T>& dp, RowGradient<T>& of_row) {
  const T coupled = dot(dp, row.p);
  of_row.epsilon = -coupled * std::exp(-row.shift) * row.inverse;
  std::vector<T> dz(row.size());
  for (std::size_t n = 0; n < row.size(); ++n) {
    const T z = row.z[n];
    const T inner = z > 0 ? dp[n] - coupled : z < 0 ? coupled : T(0);
    dz[n] = std::exp(z - row.shift) * row.inverse * inner;
  }
  return dz;
}

// With s_j = p_j^(2 - α) on the support, else 0:  dz_j = s_j (dp_j - Σ s dp/Σ s)  (Peters et al. 2019,
// proposition 2; sparsemax is α = 2). With q = s/Σ s (Correia, Niculae and Martins 2019, proposition 3),
//   ∂p_j/∂α = (p_j - q_j)/(α - 1)² - (p_j log p_j - q_j Σ p log p)/(α - 1).
template <class T>
std::vector<T> projection_gradient(const reweighting::AttentionForm& form, const Row<T>& row, const std::vector<T>& dp,
                                   RowGradient<T>& of_row) {
  const T alpha = form.rule == reweighting::RowRule::kSparsemax ? T(2) : static_cast<T>(form.alpha);
  std::vector<T> s(row.size(), T(0));
  for (std::size_t n = 0; n < row.size(); ++n) {
    if (row.p[n] > 0) s[n] = std::pow(row.p[n], 2 - alpha);
  }
  const T mass = std::accumulate(s.begin(), s.end(), T(0)), mean = dot(s, dp) / mass;
  std::vector<T> p_log_p(row.size(), T(0));
  for (std::size_t n = 0; n < row.size(); ++n) {
    if (row.p[n] > 0) p_log_p[n] = row.p[n] * std::log(row.p[n]);
  }
  const T logs = std::accumulate(p_log_p.begin(), p_log_p.end(), T(0));
  for (std::size_t n = 0; n < row.size() && form.rule == reweighting::RowRule::kEntmax; ++n) {
    const T q = s[n] / mass;
    of_row.alpha += dp[n] * ((row.p[n] - q) / (alpha - 1) - (p_log_p[n] - q * logs)) / (alpha - 1);
  }
  std::vector<T> dz(row.size());
  for (std::size_t n = 0; n < row.size(); ++n) dz[n] = s[n] * (dp[n] - mean);
  return dz;
}

// dp: dO·v_j for the visible keys.
template <class T>
RowGradient<T> row_gradient(const reweighting::AttentionForm& form, const Row<T>& row, const Upstream<T>& up,
                            std::vector<T> dp) {
  RowGradient<T> gradient;
  if (row.keys.empty()) {
    // Only log_sum_exp, then the sink's z itself, depends on anything.
    if (is_softmax(form) && form.normaliser == reweighting::Normaliser::kSumAndSink) gradient.sink = up.log_sum_exp;
    return gradient;
  }
  if (row.non_finite) {
    const T nan = std::numeric_limits<T>::quiet_NaN();
    return {std::vector<T>(row.size(), nan), nan, nan, nan, nan, nan, nan, nan, nan};
  }
  add_upstream_of_weights(row, up, dp);
  if (form.rule == reweighting::RowRule::kElementwise) {
    gradient.s = elementwise_gradient(form, row, up, dp, gradient);
  } else {
    const std::vector<T> of_entropy = entropy_gradient(row, up.entropy);
    for (std::size_t n = 0; n < row.size(); ++n) dp[n] += of_entropy[n];
    switch (form.rule) {
      case reweighting::RowRule::kClippedSoftmax: gradient.s = clipped_softmax_gradient(form, row, dp, gradient); break;
      case reweighting::RowRule::kSoftpick: gradient.s = softpick_gradient(row, dp, gradient); break;
      default: gradient.s = projection_gradient(form, row, dp, gradient);
    }
  }
  const auto visible = static_cast<std::int64_t>(row.size());
  const T centre = up.logit_variance == 0 ? T(0) : mean(row.z);  // which may overflow
  for (std::size_t n = 0; n < row.size(); ++n) {
    T& ds = gradient.s[n];
    ds += (up.logit_mean + 2 * up.logit_variance * (row.z[n] - centre)) / static_cast<T>(visible);
    gradient.transform_factor += ds * transform_factor_slope(form, row.s[n], visible);
    ds *= transform_slope(form, row.z[n], visible);
  }
  return gradient;
}

}  // namespace polariscope::attention::oracle
