// One row of attention as a textbook writes it, every number of every visible key in memory.
#pragma once

#include "polariscope/attention/attend.h"
#include "polariscope/attention/oracle/internal/threshold.h"
#include "polariscope/reweighting/growth.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace polariscope::attention::oracle {

// p comes from e^z over a sum: scores may be lowered by any shift.
inline bool is_softmax(const reweighting::AttentionForm& form) {
  return form.rule == reweighting::RowRule::kElementwise && form.weight == reweighting::WeightFunction::kExp &&
         (form.normaliser == reweighting::Normaliser::kSum || form.normaliser == reweighting::Normaliser::kSumAndSink);
}

template <class T>
struct Row {
  std::vector<std::int64_t> keys;  // the visible ones, rising; what follows has one element for each
  std::vector<T> s, z, w, p;       // score, transformed score, weight f(z - shift), p
  std::vector<T> soft;             // softmax(z), of which a clipped softmax is made; else empty
  T shift = 0, inverse = 0;        // attend.h
  T unit = 1;                      // what a weight of 1 counts among those so lowered
  T sink = 0;                      // z of the sink
  T sink_weight = 0;               // f(sink - shift); 0 without one
  T sum = 0;                       // Σ w
  bool non_finite = false;
  std::size_t size() const { return keys.size(); }
};

// Written apart from reweighting/functions-inl.h, so that a slip there is seen here.
template <class T>
T weight(reweighting::WeightFunction function, T z) {
  switch (function) {
    case reweighting::WeightFunction::kExp: return std::exp(z);
    case reweighting::WeightFunction::kSigmoid: return z < 0 ? std::exp(z) / (1 + std::exp(z)) : 1 / (1 + std::exp(-z));
    case reweighting::WeightFunction::kRelu: return std::max(z, T(0));
    case reweighting::WeightFunction::kElu1: return z > 0 ? z + 1 : std::exp(z);
    case reweighting::WeightFunction::kIdentity: return z;
    case reweighting::WeightFunction::kAbs: return std::abs(z);
    case reweighting::WeightFunction::kSquare: return z * z;
    case reweighting::WeightFunction::kOne: return 1;
  }
  return 0;
}

// f'(z); at a kink the value that PyTorch takes.
template <class T>
T weight_slope(reweighting::WeightFunction function, T z) {
  switch (function) {
    case reweighting::WeightFunction::kExp: return std::exp(z);
    case reweighting::WeightFunction::kSigmoid: return weight(function, z) * weight(function, -z);
    case reweighting::WeightFunction::kRelu: return z > 0 ? 1 : 0;
    case reweighting::WeightFunction::kElu1: return z > 0 ? 1 : std::exp(z);
    case reweighting::WeightFunction::kIdentity: return 1;
    case reweighting::WeightFunction::kAbs: return z > 0 ? 1 : z < 0 ? -1 : 0;
    case reweighting::WeightFunction::kSquare: return 2 * z;
    case reweighting::WeightFunction::kOne: return 0;
  }
  return 0;
}

template <class T>
T feature(const reweighting::AttentionForm& form, T x) {
  switch (form.feature) {
    case reweighting::FeatureMap::kNone: return x;
    case reweighting::FeatureMap::kRelu: return (x < 0 ? T(0) : x) + static_cast<T>(form.feature_offset);  // NaN stays
    case reweighting::FeatureMap::kElu1: return x > 0 ? x + 1 : std::exp(x);
  }
  return 0;
}

template <class T>
T feature_slope(const reweighting::AttentionForm& form, T x) {
  switch (form.feature) {
    case reweighting::FeatureMap::kNone: return 1;
    case reweighting::FeatureMap::kRelu: return x > 0 ? 1 : 0;
    case reweighting::FeatureMap::kElu1: return x > 0 ? 1 : std::exp(x);
  }
  return 0;
}

// φ of rows x_0, ..., x_{count-1}, [count, width].
template <class T>
std::vector<T> features(const AttentionInput<T>& input, const HeadsView<const T>& x, std::int64_t batch,
                        std::int64_t head, std::int64_t count) {
  const std::int64_t width = input.shape.width;
  std::vector<T> mapped(count * width);
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t d = 0; d < width; ++d) mapped[i * width + d] = feature(input.form, x.row(batch, head, i)[d]);
  }
  return mapped;
}

template <class T>
std::int64_t sequence_keys(const AttentionInput<T>& input, std::int64_t batch) {
  return input.key_lengths == nullptr ? input.shape.keys : input.key_lengths[batch];
}

// How far key j lies before the key that query i stands beside; negative: after it.
template <class T>
std::int64_t distance(const AttentionInput<T>& input, std::int64_t batch, std::int64_t i, std::int64_t j) {
  return i + sequence_keys(input, batch) - input.shape.queries - j;
}

template <class T>
bool sees(const AttentionInput<T>& input, std::int64_t batch, std::int64_t head, std::int64_t i, std::int64_t j) {
  const std::int64_t before = distance(input, batch, i, j);
  if (j >= sequence_keys(input, batch)) return false;
  if (input.causal && before < 0) return false;
  if (input.bias.data != nullptr && input.bias.row(batch, head, i)[j] == -std::numeric_limits<T>::infinity())
    return false;
  return input.window <= 0 || std::abs(before) < input.window;
}

template <class T>
T transformed(const reweighting::AttentionForm& form, T s, std::int64_t visible, std::int64_t keys) {
  const T factor = static_cast<T>(form.transform_factor);
  switch (form.transform) {
    case reweighting::Transform::kNone: return s;
    case reweighting::Transform::kSoftCap: return factor * std::tanh(s / factor);
    case reweighting::Transform::kLogCount: {
      // A finite score keeps a finite logit.
      const T z = factor * s * std::log(static_cast<T>(visible));
      constexpr T kMost = std::numeric_limits<T>::max();
      return std::isfinite(s) ? std::clamp(z, -kMost, kMost) : z;
    }
    case reweighting::Transform::kMinusLogKeys: return s - std::log(static_cast<T>(keys));
  }
  return 0;
}

// dz/ds.
template <class T>
T transform_slope(const reweighting::AttentionForm& form, T z, std::int64_t visible) {
  const T factor = static_cast<T>(form.transform_factor);
  switch (form.transform) {
    case reweighting::Transform::kSoftCap: return 1 - (z / factor) * (z / factor);
    case reweighting::Transform::kLogCount: return factor * std::log(static_cast<T>(visible));
    default: return 1;
  }
}

// dz/dc, c the transform's factor.
template <class T>
T transform_factor_slope(const reweighting::AttentionForm& form, T s, std::int64_t visible) {
  const T u = s / static_cast<T>(form.transform_factor), t = std::tanh(u);
  switch (form.transform) {
    case reweighting::Transform::kSoftCap: return t - (std::abs(t) == 1 ? T(0) : u * (1 - t * t));
    case reweighting::Transform::kLogCount: return s * std::log(static_cast<T>(visible));
    default: return 0;
  }
}

// 1/n; 0 for a row whose weights are too small to be divided by.
template <class T>
T inverse_normaliser(const reweighting::AttentionForm& form, T sum, T sink_weight, T unit, std::int64_t visible) {
  switch (form.normaliser) {
    case reweighting::Normaliser::kNone: return 1 / unit;
    case reweighting::Normaliser::kSum:
    case reweighting::Normaliser::kSumAndSink: {
      const bool offset = form.normaliser == reweighting::Normaliser::kSum && !is_softmax(form);
      const T total = sum + sink_weight + unit * static_cast<T>(offset ? form.sum_offset : 0.0);
      return std::abs(total) < std::numeric_limits<T>::min() ? 0 : 1 / total;
    }
    case reweighting::Normaliser::kMax1: return 1 / std::max(std::abs(sum), unit);
    case reweighting::Normaliser::kCount:
      return 1 / std::pow(static_cast<T>(visible), static_cast<T>(form.count_power)) / unit;
  }
  return 0;
}

// The sum's place in n: ∂n/∂(Σ w).
template <class T>
T normaliser_slope(const reweighting::AttentionForm& form, T sum, T unit) {
  switch (form.normaliser) {
    case reweighting::Normaliser::kSum:
    case reweighting::Normaliser::kSumAndSink: return 1;
    case reweighting::Normaliser::kMax1: return std::abs(sum) <= unit ? 0 : sum < 0 ? -1 : 1;
    default: return 0;
  }
}

// Where the sum of weights, or that of their squares, would overflow, they are lowered by a power of two that makes the
// largest about 1: scores count as z 2^-shift. Returns what a weight of 1 then counts.
template <class T>
T unit_of(reweighting::WeightFunction function, const std::vector<T>& z, T& shift) {
  if (function == reweighting::WeightFunction::kExp) return 1;
  T squares = 0, largest = 0;
  for (const T x : z) {
    const T w = weight(function, x);
    squares += w * w;
    largest = std::max(largest, reweighting::growth_of(function) == 2 ? std::abs(x) : std::abs(w));
  }
  if (std::isfinite(squares)) return 1;
  const int exponent = std::min(std::ilogb(largest), std::numeric_limits<T>::max_exponent - 8);
  shift = static_cast<T>(exponent);
  return std::ldexp(T(1), -std::max(reweighting::growth_of(function), 1) * exponent);
}

// f(z), and its slope, in the units of the row's weights.
template <class T>
T lowered_weight(const reweighting::AttentionForm& form, const Row<T>& row, T z) {
  if (is_softmax(form)) return weight(form.weight, z - row.shift);
  if (row.shift != 0 && reweighting::growth_of(form.weight) == 2) {
    return weight(form.weight, std::ldexp(z, -static_cast<int>(row.shift)));
  }
  return weight(form.weight, z) * row.unit;
}
template <class T>
T lowered_slope(const reweighting::AttentionForm& form, const Row<T>& row, T z) {
  if (is_softmax(form)) return weight_slope(form.weight, z - row.shift);
  if (row.shift != 0 && reweighting::growth_of(form.weight) == 2) {
    const T root = std::ldexp(T(1), -static_cast<int>(row.shift));
    return weight_slope(form.weight, z * root) * root;
  }
  return weight_slope(form.weight, z) * row.unit;
}

template <class T>
void weigh_elementwise(const reweighting::AttentionForm& form, Row<T>& row) {
  const bool has_sink = form.normaliser == reweighting::Normaliser::kSumAndSink;
  if (is_softmax(form)) {
    row.shift = *std::max_element(row.z.begin(), row.z.end());
    if (has_sink) row.shift = std::max(row.shift, row.sink);
  }
  row.unit = is_softmax(form) ? T(1) : unit_of(form.weight, row.z, row.shift);
  for (const T z : row.z) row.w.push_back(lowered_weight(form, row, z));
  for (const T w : row.w) row.sum += w;
  if (has_sink) row.sink_weight = lowered_weight(form, row, row.sink);
  row.inverse = inverse_normaliser(form, row.sum, row.sink_weight, row.unit, static_cast<std::int64_t>(row.size()));
  for (const T w : row.w) row.p.push_back(w * row.inverse);
}

template <class T>
void weigh_clipped_softmax(const reweighting::AttentionForm& form, Row<T>& row) {
  const T gamma = static_cast<T>(form.gamma), zeta = static_cast<T>(form.zeta);
  row.shift = *std::max_element(row.z.begin(), row.z.end());
  T sum = 0;
  for (const T z : row.z) sum += std::exp(z - row.shift);
  row.inverse = 1 / sum;
  for (const T z : row.z) row.soft.push_back(std::exp(z - row.shift) * row.inverse);
  for (const T soft : row.soft) row.p.push_back(std::clamp((zeta - gamma) * soft + gamma, T(0), T(1)));
}

// Numerators and denominator times e^-m, m = max(max z, 0), as the paper's algorithm 1 does.
template <class T>
void weigh_softpick(const reweighting::AttentionForm& form, Row<T>& row) {
  row.shift = std::max(*std::max_element(row.z.begin(), row.z.end()), T(0));
  const T one = std::exp(-row.shift);
  T sum = 0;
  for (const T z : row.z) sum += std::abs(std::exp(z - row.shift) - one);
  row.inverse = 1 / (sum + static_cast<T>(form.epsilon) * one);
  for (const T z : row.z) row.p.push_back(std::max(std::exp(z - row.shift) - one, T(0)) * row.inverse);
}

// A projection ignores a shift of its scores: with their maximum at 0 the threshold is in [-1, 0] and keeps
// its digits.
template <class T>
void weigh_projection(const reweighting::AttentionForm& form, Row<T>& row) {
  const T alpha = form.rule == reweighting::RowRule::kSparsemax ? T(2) : static_cast<T>(form.alpha);
  const T maximum = *std::max_element(row.z.begin(), row.z.end());
  std::vector<T> x;
  for (const T z : row.z) x.push_back((alpha - 1) * (z - maximum));
  T threshold = 0;
  if (alpha == T(2)) {
    threshold = sparsemax_threshold(x);
  } else if (alpha == T(1.5)) {
    threshold = entmax15_threshold(x);
  } else {
    threshold = entmax_threshold(x, 1 / (alpha - 1));
  }
  for (const T score : x) row.p.push_back(std::pow(std::max(score - threshold, T(0)), 1 / (alpha - 1)));
  row.shift = threshold + (alpha - 1) * maximum;
  row.inverse = 1;
}

// Query i of a head. phi_q: [width], phi_k: [keys, width].
template <class T>
Row<T> row_of(const AttentionInput<T>& input, std::int64_t batch, std::int64_t head, std::int64_t i, const T* phi_q,
              const T* phi_k) {
  Row<T> row;
  const std::int64_t width = input.shape.width;
  const std::int64_t keys = sequence_keys(input, batch);
  if (input.form.normaliser == reweighting::Normaliser::kSumAndSink && input.sink != nullptr)
    row.sink = input.sink[head];
  for (std::int64_t j = 0; j < keys; ++j) {
    if (sees(input, batch, head, i, j)) row.keys.push_back(j);
  }
  for (const std::int64_t j : row.keys) {
    T product = 0;
    for (std::int64_t d = 0; d < width; ++d) product += phi_q[d] * phi_k[j * width + d];
    T s = product * static_cast<T>(input.scale);
    if (input.bias.data != nullptr) s += input.bias.row(batch, head, i)[j];
    if (input.slopes != nullptr) s -= input.slopes[head] * static_cast<T>(std::abs(distance(input, batch, i, j)));
    row.s.push_back(s);
    row.z.push_back(transformed(input.form, s, static_cast<std::int64_t>(row.size()), keys));
    if (!std::isfinite(s) || !std::isfinite(row.z.back())) row.non_finite = true;
  }
  if (row.keys.empty()) return row;
  if (row.non_finite) {
    const T nan = std::numeric_limits<T>::quiet_NaN();
    row.shift = row.inverse = row.sum = nan;
    row.w.assign(row.size(), nan);
    row.p.assign(row.size(), nan);
    if (input.form.rule == reweighting::RowRule::kClippedSoftmax) row.soft.assign(row.size(), nan);
    return row;
  }
  switch (input.form.rule) {
    case reweighting::RowRule::kElementwise: weigh_elementwise(input.form, row); break;
    case reweighting::RowRule::kClippedSoftmax: weigh_clipped_softmax(input.form, row); break;
    case reweighting::RowRule::kSoftpick: weigh_softpick(input.form, row); break;
    case reweighting::RowRule::kSparsemax:
    case reweighting::RowRule::kEntmax: weigh_projection(input.form, row); break;
  }
  if (input.form.rule != reweighting::RowRule::kElementwise) {
    row.w = row.p;
    for (const T p : row.p) row.sum += p;
  }
  return row;
}

}  // namespace polariscope::attention::oracle
