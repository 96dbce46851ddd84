// Attention over the arrays of a caller in any language.
#include "polariscope/attention/attend.h"
#include "polariscope/attention/weights.h"
#include "polariscope/base/error.h"
#include "polariscope/c_api.h"
#include "polariscope/c_api/internal/arguments.h"
#include "polariscope/c_api/internal/guard.h"

#include <algorithm>
#include <vector>

namespace polariscope::c_api {
namespace {

// Calls visit with a number of the type of the arrays.
template <class Visit>
void in_type(const polariscope_attention& a, const Visit& visit) {
  if (a.type == POLARISCOPE_FLOAT64) return visit(double{});
  visit(float{});
}

// Rows that are held at a time where weights are not written in one piece.
constexpr std::int64_t kRows = 64;

template <class T>
void write_weights(const polariscope_attention& a, const polariscope_heads& weights) {
  const attention::AttentionInput<T> input = input_of<T>(a);
  const attention::HeadsView<T> to = written<T>(weights, a, a.heads, a.queries, a.keys, "weights");
  const bool in_one_piece = to.row_stride == a.keys && to.head_stride == a.queries * a.keys &&
                            to.batch_stride == a.heads * a.queries * a.keys;
  if (in_one_piece || to.data == nullptr) return attention::attention_weights(input, 0, a.queries, to.data, a.threads);
  attention::attention_weights(input, 0, 0, to.data,
                               a.threads);  // what is wrong with the input, before memory is taken
  std::vector<T> block(a.batch * a.heads * std::min(kRows, a.queries) * a.keys);
  for (std::int64_t first = 0; first < a.queries; first += kRows) {
    const std::int64_t count = std::min(kRows, a.queries - first);
    attention::attention_weights(input, first, count, block.data(), a.threads);
    const T* from = block.data();
    for (std::int64_t b = 0; b < a.batch; ++b) {
      for (std::int64_t h = 0; h < a.heads; ++h) {
        for (std::int64_t i = first; i < first + count; ++i, from += a.keys) std::copy_n(from, a.keys, to.row(b, h, i));
      }
    }
  }
}

template <class T>
attention::AttentionGradient<T> gradient_of(const polariscope_gradient& g, const polariscope_attention& a) {
  const auto array = [](void* data) { return static_cast<T*>(data); };
  return {.query = written<T>(g.query, a, a.heads, a.queries, a.width, "the gradient of query"),
          .key = written<T>(g.key, a, a.key_heads, a.keys, a.width, "the gradient of key"),
          .value = written<T>(g.value, a, a.key_heads, a.keys, a.value_width, "the gradient of value"),
          .bias = written<T>(g.bias, a, a.heads, a.queries, a.keys, "the gradient of bias"),
          .sink = array(g.sink),
          .parameters = {.transform_factor = array(g.transform_factor),
                         .sum_offset = array(g.sum_offset),
                         .count_power = array(g.count_power),
                         .gamma = array(g.gamma),
                         .zeta = array(g.zeta),
                         .epsilon = array(g.epsilon),
                         .alpha = array(g.alpha)}};
}

template <class T>
void differentiate(const polariscope_attention& a, const polariscope_rows& rows,
                   const polariscope_rows_gradient& incoming, const polariscope_gradient& gradient) {
  const auto array = [](const void* data) { return static_cast<const T*>(data); };
  const std::vector<T> zeros(std::clamp<std::int64_t>(a.value_width, 0, 65536));
  const attention::HeadsView<const T> nothing{zeros.data(), 0, 0, 0};
  const attention::HeadsView<const T> d_output{array(incoming.output.data), incoming.output.batch_stride,
                                               incoming.output.head_stride, incoming.output.row_stride};
  attention::attend_backward(input_of<T>(a), output_of<T>(rows, a), d_output.data == nullptr ? nothing : d_output,
                             {.entropy = array(incoming.entropy),
                              .sum_of_squares = array(incoming.sum_of_squares),
                              .maximum = array(incoming.maximum),
                              .first_key = array(incoming.first_key),
                              .log_sum_exp = array(incoming.log_sum_exp),
                              .logit_mean = array(incoming.logit_mean),
                              .logit_variance = array(incoming.logit_variance),
                              .first_visible_key = array(incoming.first_visible_key)},
                             gradient_of<T>(gradient, a), a.threads);
}

}  // namespace
}  // namespace polariscope::c_api

using namespace polariscope::c_api;  // NOLINT(google-build-using-namespace): the interface's names are global
using polariscope::Error;

std::int32_t polariscope_attend(const polariscope_attention* attention, const polariscope_rows* rows) {
  return guarded([&] {
    const polariscope_attention a = known(attention);
    const polariscope_rows to = known(rows);
    in_type(a, [&](auto number) {
      using T = decltype(number);
      polariscope::attention::attend(input_of<T>(a), output_of<T>(to, a), a.threads);
    });
  });
}

std::int32_t polariscope_attend_columns(const polariscope_attention* attention, const polariscope_rows* rows,
                                        void* column_means) {
  return guarded([&] {
    const polariscope_attention a = known(attention);
    const polariscope_rows is = known(rows);
    in_type(a, [&](auto number) {
      using T = decltype(number);
      const auto input = input_of<T>(a);
      if (column_means == nullptr && a.batch > 0 && a.heads > 0 && a.keys > 0) {
        throw Error("column_means is missing: expected {} numbers", a.batch * a.heads * a.keys);
      }
      polariscope::attention::attend_columns(input, static_cast<const T*>(is.shift), static_cast<const T*>(is.inverse),
                                             static_cast<T*>(column_means), a.threads);
    });
  });
}

std::int32_t polariscope_attention_weights(const polariscope_attention* attention, const polariscope_heads* weights) {
  return guarded([&] {
    const polariscope_attention a = known(attention);
    if (weights == nullptr) throw Error("weights is missing: expected where to write them");
    in_type(a, [&](auto number) { write_weights<decltype(number)>(a, *weights); });
  });
}

std::int32_t polariscope_attend_backward(const polariscope_attention* attention, const polariscope_rows* rows,
                                         const polariscope_rows_gradient* incoming,
                                         const polariscope_gradient* gradient) {
  return guarded([&] {
    const polariscope_attention a = known(attention);
    const polariscope_rows is = known(rows);
    const auto in = known_fields(incoming, sizeof(polariscope_rows_gradient), "incoming");
    const auto out = known_fields(gradient, sizeof(polariscope_gradient), "gradient");
    in_type(a, [&](auto number) { differentiate<decltype(number)>(a, is, in, out); });
  });
}
