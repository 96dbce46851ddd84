// What the kernels' numbers are held to: the reference in a wider type, and naive code of their own type.
#pragma once

#include "polariscope/attention/oracle/internal/row.h"
#include "polariscope/attention/weights.h"
#include "results.h"
#include "tensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>
#include <type_traits>
#include <vector>

namespace polariscope::testing {

// The type of the reference for kernels of type T.
template <class T>
using Wider = std::conditional_t<std::is_same_v<T, float>, double, long double>;

// All that forward, backward and the second pass return, and the matrix of weights.
template <class T>
struct Everything {
  Forward<T> forward;
  Backward<T> backward;
  std::vector<T> columns, weights;

  explicit Everything(const Problem<T>& problem)
      : forward(problem),
        backward(problem),
        columns(problem.shape.batch * problem.shape.heads * problem.shape.keys, T(-7)),
        weights(problem.rows() * problem.shape.keys, T(-7)) {}
};

template <class T>
Everything<T> oracle_everything(Problem<T>& problem, const Upstream<T>& upstream) {
  Everything<T> all(problem);
  attention::oracle_attend(problem.input(), all.forward.view());
  attention::oracle_attend_backward(problem.input(), problem.d_output.constant_view(), upstream.view(),
                                    all.backward.view());
  attention::oracle_attend_columns(problem.input(), all.columns.data());
  attention::oracle_weights(problem.input(), all.weights.data());
  return all;
}

template <class T>
Everything<T> kernel_everything(Problem<T>& problem, const Upstream<T>& upstream, int threads) {
  Everything<T> all(problem);
  attention::attend(problem.input(), all.forward.view(), threads);
  attention::attend_columns(problem.input(), all.forward.shift.data(), all.forward.inverse.data(), all.columns.data(),
                            threads);
  attention::attend_backward(problem.input(), all.forward.view(), problem.d_output.constant_view(), upstream.view(),
                             all.backward.view(), threads);
  attention::attention_weights(problem.input(), 0, problem.shape.queries, all.weights.data(), threads);
  return all;
}

template <class T>
struct NamedArray {
  std::string_view name;
  std::vector<T> numbers;
};

// Every floating array, without gaps. The gradient of the sink is meant only where the form has one.
template <class T>
std::vector<NamedArray<T>> arrays(Everything<T>& all, const reweighting::AttentionForm& form) {
  std::vector<NamedArray<T>> list{{"output", all.forward.output.packed()},
                                  {"columns", all.columns},
                                  {"weights", all.weights},
                                  {"d_query", all.backward.query.packed()},
                                  {"d_key", all.backward.key.packed()},
                                  {"d_value", all.backward.value.packed()},
                                  {"d_bias", all.backward.bias.packed()}};
  if (form.normaliser == reweighting::Normaliser::kSumAndSink) list.push_back({"d_sink", all.backward.sink});
  for (std::size_t n = 0; n < all.forward.floating.size(); ++n) {
    list.push_back({kStatistics<T>[n].name, all.forward.floating[n]});
  }
  for (std::size_t n = 0; n < all.backward.parameters.size(); ++n) {
    list.push_back({kParameters<T>[n].name, all.backward.parameters[n]});
  }
  return list;
}

// |a - b|; 0 for the same infinity or two NaNs, infinity for only one NaN.
template <class Real>
Real distance_between(Real a, Real b) {
  if (a == b || (std::isnan(a) && std::isnan(b))) return 0;
  const Real off = std::abs(a - b);
  return std::isnan(off) ? std::numeric_limits<Real>::infinity() : off;
}

// The largest |f'(z_j)/n| of any row, which the gradient of p is multiplied by.
template <class Real>
Real steepest(const reweighting::AttentionForm& form, const Forward<Real>& forward) {
  Real largest = 0;
  for (std::size_t row = 0; row < forward.inverse.size(); ++row) {
    const Real inverse = forward.inverse[row], maximum = forward.statistic("maximum")[row];
    Real slope = inverse;
    if (form.rule == reweighting::RowRule::kClippedSoftmax) {
      slope *= static_cast<Real>(form.zeta - form.gamma);
    } else if (form.rule == reweighting::RowRule::kElementwise && form.weight == reweighting::WeightFunction::kExp) {
      slope = maximum;
    } else if (form.rule == reweighting::RowRule::kElementwise && form.weight == reweighting::WeightFunction::kSquare &&
               inverse > 0) {
      slope *= 2 * std::sqrt(maximum / inverse);
    }
    if (std::isfinite(slope)) largest = std::max(largest, slope);
  }
  return largest;
}

template <class T>
T largest_size(std::vector<T> numbers) {
  T largest = 0;
  for (const T x : numbers) {
    if (std::isfinite(x)) largest = std::max(largest, std::abs(x));
  }
  return largest;
}

// Knows what a problem's results must be, and how far off they may be:
//
//   |kernel - reference| <= 2 max |naive - reference| + 8 ulp of the largest |reference| or term of it
//
// maxima over the array (flash-attention's rule). One run of naive code is one draw of rounding errors and
// can be lucky where an array is small, so three more draws are taken, at inputs off by one ulp each.
template <class T>
class Judge {
 public:
  using Real = Wider<T>;

  Judge(Problem<T>& problem, const Upstream<T>& upstream)
      : form_(problem.form), keys_(problem.shape.keys), reference_(problem.template as<Real>()) {
    Problem<Real> wide = problem.template as<Real>();
    const Upstream<Real> wide_upstream = upstream.template as<Real>();
    reference_ = oracle_everything(wide, wide_upstream);
    find_hidden(problem);
    find_skewed_rows(wide);
    expected_ = judged_arrays(reference_);
    for (const NamedArray<Real>& array : expected_) {
      allowed_.push_back(8 * kUlp * (largest_size(array.numbers) + largest_term(array.name, wide, wide_upstream)));
    }
    std::vector<Real> drawn(expected_.size(), Real(0));
    for (std::uint64_t draw = 0; draw < kDraws; ++draw) {
      Problem<T> nudged = problem;
      if (draw > 0) nudge(nudged, draw);
      Everything<T> naive = oracle_everything(nudged, upstream);
      const std::vector<Real> off = errors(naive);
      for (std::size_t n = 0; n < drawn.size(); ++n) drawn[n] = std::max(drawn[n], off[n]);
    }
    for (std::size_t n = 0; n < drawn.size(); ++n) {
      if (std::isfinite(drawn[n])) allowed_[n] += 2 * drawn[n];
    }
  }

  void expect_agreement(Everything<T>& kernel) {
    const std::vector<Real> found = errors(kernel);
    for (std::size_t n = 0; n < found.size(); ++n) {
      EXPECT_LE(found[n], allowed_[n]) << expected_[n].name << worst(kernel, n);
    }
    EXPECT_EQ(kernel.forward.visible, reference_.forward.visible);
    EXPECT_EQ(kernel.forward.non_finite, reference_.forward.non_finite);
    EXPECT_TRUE(kernel.forward.output.gaps_are_untouched());
    EXPECT_TRUE(kernel.backward.query.gaps_are_untouched());
    expect_argmax(kernel.forward.argmax);
    for (std::size_t at = 0; at < hidden_.size(); ++at) {
      if (!hidden_[at]) continue;
      EXPECT_EQ(kernel.weights[at], 0) << "row " << at / keys_ << ", hidden key " << at % keys_;
    }
  }

 private:
  static constexpr Real kUlp = std::numeric_limits<T>::epsilon();
  static constexpr std::uint64_t kDraws = 4;

  // Numbers off by one ulp, up or down.
  static void nudge(Problem<T>& problem, std::uint64_t stream) {
    RandomStream random(97, stream);
    const T ulp = std::numeric_limits<T>::epsilon();
    const auto move = [&](T& x) { x *= 1 + (random.bits() % 2 == 0 ? ulp : -ulp); };
    for (Tensor<T>* tensor : {&problem.query, &problem.key, &problem.value, &problem.bias}) tensor->for_each(move);
    for (T& x : problem.slopes) move(x);
    for (T& x : problem.sink) move(x);
  }

  // The size of terms that cancel, to nothing where one key is seen: those of H = log Σ|w| - (Σ w log |w|)/Σ|w|
  // and of dz_j = f'(z_j)/n (G_j - Σ G p); those of log_sum_exp and of a skewness are about 1.
  Real largest_term(std::string_view name, Problem<Real>& problem, const Upstream<Real>& upstream) const {
    if (name == "log_sum_exp" || name == "skewness") return 1;
    if (name == "entropy") return 1 + largest_log_of_weights();
    Real factor = 0;
    if (name == "d_bias" || name == "d_sink") factor = 1;
    for (const auto& parameter : kParameters<Real>) {
      if (name == parameter.name) factor = largest_factor(problem);
    }
    if (name == "d_query") factor = static_cast<Real>(problem.scale) * (1 + largest_size(problem.key.packed()));
    if (name == "d_key") factor = static_cast<Real>(problem.scale) * (1 + largest_size(problem.query.packed()));
    if (factor == 0) return 0;
    Real of_weights = std::sqrt(static_cast<Real>(problem.shape.value_width)) *
                      largest_size(problem.d_output.packed()) * largest_size(problem.value.packed());
    for (const std::vector<Real>& array : upstream.arrays) of_weights += largest_size(array);
    return factor * of_weights * steepest(form_, reference_.forward);
  }

  // What a parameter's slope has beside p: log n, log p, 1/(α - 1)² or 1/c.
  Real largest_factor(const Problem<Real>& problem) const {
    return std::log(static_cast<Real>(keys_) + 1) + 1 / static_cast<Real>(std::pow(form_.alpha - 1, 2)) +
           largest_size(reference_.forward.statistic("logit_maximum")) / static_cast<Real>(form_.transform_factor) +
           std::sqrt(static_cast<Real>(problem.rows()));
  }

  // |log Σ|w||, the w being those that the row's shift leaves.
  Real largest_log_of_weights() const {
    Real largest = 0;
    for (std::size_t row = 0; row < reference_.forward.inverse.size(); ++row) {
      Real sum = 0;
      for (std::int64_t j = 0; j < keys_; ++j) sum += std::abs(reference_.weights[row * keys_ + j]);
      const Real size = std::abs(std::log(sum / reference_.forward.inverse[row]));
      if (std::isfinite(size)) largest = std::max(largest, size);
    }
    return largest;
  }

  void find_hidden(Problem<T>& problem) {
    const attention::AttentionInput<T> input = problem.input();
    for (std::int64_t row = 0; row < problem.rows(); ++row) {
      const std::int64_t head = row / problem.shape.queries, batch = head / problem.shape.heads;
      for (std::int64_t j = 0; j < keys_; ++j) {
        hidden_.push_back(
            !attention::oracle::sees(input, batch, head % problem.shape.heads, row % problem.shape.queries, j));
      }
    }
  }

  // Skewness is a ratio of small differences where p is all but constant, and 0/0 where it is constant:
  // judged where the standard deviation is at least a hundredth of the largest |p|.
  void find_skewed_rows(const Problem<Real>& problem) {
    for (std::int64_t row = 0; row < problem.rows(); ++row) {
      const auto visible = static_cast<Real>(reference_.forward.visible[row]);
      Real sum = 0;
      for (std::int64_t j = 0; j < keys_; ++j) sum += reference_.weights[row * keys_ + j];
      const Real variance =
          reference_.forward.statistic("sum_of_squares")[row] / visible - sum / visible * sum / visible;
      const Real largest = reference_.forward.statistic("maximum")[row];
      skewed_.push_back(visible > 2 && variance > 1e-4 * largest * largest);
    }
  }

  template <class U>
  std::vector<NamedArray<U>> judged_arrays(Everything<U>& all) const {
    std::vector<NamedArray<U>> list = arrays(all, form_);
    for (NamedArray<U>& array : list) {
      for (std::size_t row = 0; array.name == "skewness" && row < skewed_.size(); ++row) {
        if (!skewed_[row] && std::isfinite(array.numbers[row])) array.numbers[row] = 0;
      }
    }
    return list;
  }

  // The largest error of each array.
  template <class U>
  std::vector<Real> errors(Everything<U>& all) const {
    std::vector<Real> largest;
    const std::vector<NamedArray<U>> found = judged_arrays(all);
    for (std::size_t n = 0; n < found.size(); ++n) {
      largest.push_back(0);
      for (std::size_t i = 0; i < found[n].numbers.size(); ++i) {
        const Real off = distance_between(static_cast<Real>(found[n].numbers[i]), expected_[n].numbers[i]);
        largest.back() = std::max(largest.back(), off);
      }
    }
    return largest;
  }

  std::string worst(Everything<T>& kernel, std::size_t n) const {
    const std::vector<T> found = judged_arrays(kernel)[n].numbers;
    std::size_t place = 0;
    Real largest = -1;
    for (std::size_t i = 0; i < found.size(); ++i) {
      const Real off = distance_between(static_cast<Real>(found[i]), expected_[n].numbers[i]);
      if (off > largest) largest = off, place = i;
    }
    return fmt::format(", number {} of {}: {} for {}", place, found.size(), found[place],
                       static_cast<double>(expected_[n].numbers[place]));
  }

  // Near ties may be decided either way; extremes_test.cpp has the exact ones.
  void expect_argmax(const std::vector<std::int32_t>& argmax) const {
    Real allowed = 0;
    for (std::size_t n = 0; n < expected_.size(); ++n) {
      if (expected_[n].name == "maximum") allowed = allowed_[n];
    }
    for (std::size_t row = 0; row < argmax.size(); ++row) {
      const std::int32_t place = argmax[row];
      if (reference_.forward.argmax[row] < 0) {
        EXPECT_EQ(place, -1) << "row " << row;
        continue;
      }
      ASSERT_TRUE(place >= 0 && place < keys_) << "row " << row << ": " << place;
      EXPECT_GE(std::abs(reference_.weights[row * keys_ + place]),
                reference_.forward.statistic("maximum")[row] - allowed)
          << "row " << row << ": " << place;
    }
  }

  reweighting::AttentionForm form_;
  std::int64_t keys_;
  Everything<Real> reference_;
  std::vector<bool> hidden_, skewed_;
  std::vector<NamedArray<Real>> expected_;
  std::vector<Real> allowed_;
};

// How a failing problem is named.
template <class T>
std::string described(const Problem<T>& problem) {
  const attention::AttentionShape& s = problem.shape;
  return fmt::format(
      "{} {}: batch {}, heads {}/{}, queries {}, keys {}, width {}, value width {}, row stride {}{}{}{}{}{}",
      problem.form.name, sizeof(T) == 4 ? "float" : "double", s.batch, s.heads, s.key_heads, s.queries, s.keys, s.width,
      s.value_width, problem.query.row_stride, problem.causal ? ", causal" : "",
      problem.window > 0 ? fmt::format(", window {}", problem.window) : "",
      problem.key_lengths.empty() ? "" : fmt::format(", lengths {}", fmt::join(problem.key_lengths, " ")),
      problem.bias.empty() ? "" : ", bias", problem.slopes.empty() ? "" : ", slopes");
}

}  // namespace polariscope::testing
