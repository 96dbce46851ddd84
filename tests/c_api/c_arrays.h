// A problem of attention as the C interface takes it.
#pragma once

#include "attention/results.h"
#include "polariscope/c_api.h"

#include <cmath>
#include <limits>
#include <string>
#include <type_traits>

namespace polariscope::testing {

template <class T>
polariscope_heads c_heads(const attention::HeadsView<T>& view) {
  return {const_cast<std::remove_const_t<T>*>(view.data), view.batch_stride, view.head_stride, view.row_stride};
}

inline void expect_refusal(std::int32_t status, const std::string& words) {
  EXPECT_EQ(status, 1);
  EXPECT_NE(std::string(polariscope_last_error()).find(words), std::string::npos) << polariscope_last_error();
}

// Points into what it is made of.
template <class T>
struct CProblem {
  std::string form;
  polariscope_attention attention{};
  polariscope_rows rows{};
  polariscope_rows_gradient incoming{};
  polariscope_gradient gradient{};

  CProblem(Problem<T>& problem, Forward<T>& forward, const Upstream<T>& upstream, Backward<T>& backward)
      : form(problem.form.name) {
    const attention::AttentionInput<T> input = problem.input();
    const attention::AttentionShape& s = problem.shape;
    attention = {.size = sizeof attention,
                 .type = sizeof(T) == 4 ? POLARISCOPE_FLOAT32 : POLARISCOPE_FLOAT64,
                 .threads = 1,
                 .form = form.c_str(),
                 .parameter_count = 0,
                 .causal = input.causal ? 1 : 0,
                 .parameter_names = nullptr,
                 .parameter_values = nullptr,
                 .batch = s.batch,
                 .heads = s.heads,
                 .key_heads = s.key_heads,
                 .queries = s.queries,
                 .keys = s.keys,
                 .width = s.width,
                 .value_width = s.value_width,
                 .window = input.window,
                 .scale = std::numeric_limits<double>::quiet_NaN(),
                 .query = c_heads(input.query),
                 .key = c_heads(input.key),
                 .value = c_heads(input.value),
                 .bias = c_heads(input.bias),
                 .slopes = input.slopes,
                 .sink = input.sink,
                 .key_lengths = input.key_lengths,
                 .bfloat16 = 0,
                 .bfloat16_key = {},
                 .bfloat16_value = {},
                 .pages = nullptr,
                 .pages_stride = 0,
                 .page_keys = 0,
                 .page_count = 0};
    const attention::AttentionOutput<T> to = forward.view();
    const attention::RowStatistics<T>& is = to.statistics;
    rows = {.size = sizeof rows,
            .output = c_heads(to.output),
            .entropy = is.entropy,
            .sum_of_squares = is.sum_of_squares,
            .maximum = is.maximum,
            .argmax = is.argmax,
            .first_key = is.first_key,
            .row_sum = is.row_sum,
            .log_sum_exp = is.log_sum_exp,
            .logit_mean = is.logit_mean,
            .logit_variance = is.logit_variance,
            .logit_maximum = is.logit_maximum,
            .skewness = is.skewness,
            .visible = is.visible,
            .non_finite = is.non_finite,
            .shift = to.shift,
            .inverse = to.inverse,
            .mass = to.mass,
            .first_visible_key = is.first_visible_key};
    const attention::RowStatisticsGradient<T> up = upstream.view();
    incoming = {.size = sizeof incoming,
                .output = c_heads(problem.d_output.constant_view()),
                .entropy = up.entropy,
                .sum_of_squares = up.sum_of_squares,
                .maximum = up.maximum,
                .first_key = up.first_key,
                .log_sum_exp = up.log_sum_exp,
                .logit_mean = up.logit_mean,
                .logit_variance = up.logit_variance,
                .first_visible_key = up.first_visible_key};
    const attention::AttentionGradient<T> out = backward.view();
    gradient = {.size = sizeof gradient,
                .query = c_heads(out.query),
                .key = c_heads(out.key),
                .value = c_heads(out.value),
                .bias = c_heads(out.bias),
                .sink = out.sink,
                .transform_factor = out.parameters.transform_factor,
                .sum_offset = out.parameters.sum_offset,
                .count_power = out.parameters.count_power,
                .gamma = out.parameters.gamma,
                .zeta = out.parameters.zeta,
                .epsilon = out.parameters.epsilon,
                .alpha = out.parameters.alpha};
  }
};

}  // namespace polariscope::testing
