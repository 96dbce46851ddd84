#include "polariscope/c_api/internal/arguments.h"

#include "polariscope/base/error.h"
#include "polariscope/c_api/internal/guard.h"
#include "polariscope/reweighting/attention_parameters.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <utility>

namespace polariscope::c_api {
namespace {

reweighting::AttentionForm form_of(const polariscope_attention& a) {
  if (a.form == nullptr) throw Error("form is missing: expected the name of an attention, as \"softmax\"");
  reweighting::AttentionForm form = reweighting::find_attention_form(a.form);
  if (a.parameter_count < 0) throw Error("parameter_count is {}: it cannot be negative", a.parameter_count);
  if (a.parameter_count > 0 && (a.parameter_names == nullptr || a.parameter_values == nullptr)) {
    throw Error("parameter_count is {}, but parameter_names or parameter_values is missing", a.parameter_count);
  }
  for (std::int32_t i = 0; i < a.parameter_count; ++i) {
    if (a.parameter_names[i] == nullptr) throw Error("the name of parameter {} is missing", i);
    reweighting::set_parameter(form, a.parameter_names[i], a.parameter_values[i]);
  }
  return form;
}

template <class T>
attention::HeadsView<const T> read(const polariscope_heads& heads) {
  return {static_cast<const T*>(heads.data), heads.batch_stride, heads.head_stride, heads.row_stride};
}

}  // namespace

polariscope_attention known(const polariscope_attention* attention) {
  const auto a = known_fields(attention, offsetof(polariscope_attention, bfloat16), "attention");
  if (a.type != POLARISCOPE_FLOAT32 && a.type != POLARISCOPE_FLOAT64) {
    throw Error("type is {}: expected {} for float32 or {} for float64", a.type, int{POLARISCOPE_FLOAT32},
                int{POLARISCOPE_FLOAT64});
  }
  if (a.threads < 0) throw Error("threads is {}: expected a number of them, or 0 for one a processor", a.threads);
  if (std::isinf(a.scale)) throw Error("scale is infinite: expected a number, or NaN for the form's own");
  if (a.pages == nullptr && (a.page_keys != 0 || a.page_count != 0)) {
    throw Error("{} pages of {} keys, but pages is missing: expected the table that names them", a.page_count,
                a.page_keys);
  }
  return a;
}

polariscope_rows known(const polariscope_rows* rows) { return known_fields(rows, sizeof(polariscope_rows), "rows"); }

template <class T>
attention::AttentionInput<T> input_of(const polariscope_attention& a) {
  const reweighting::AttentionForm form = form_of(a);
  const double usual = form.scaled && a.width > 0 ? 1.0 / std::sqrt(static_cast<double>(a.width)) : 1.0;
  return {.form = form,
          .shape = {.batch = a.batch,
                    .heads = a.heads,
                    .key_heads = a.key_heads,
                    .queries = a.queries,
                    .keys = a.keys,
                    .width = a.width,
                    .value_width = a.value_width},
          .query = read<T>(a.query),
          .key = read<T>(a.key),
          .value = read<T>(a.value),
          .scale = std::isnan(a.scale) ? usual : a.scale,
          .causal = a.causal != 0,
          .window = a.window,
          .bias = read<T>(a.bias),
          .slopes = static_cast<const T*>(a.slopes),
          .sink = static_cast<const T*>(a.sink),
          .key_lengths = a.key_lengths,
          .bfloat16 = a.bfloat16 != 0,
          .bfloat16_key = read<attention::Bfloat16>(a.bfloat16_key),
          .bfloat16_value = read<attention::Bfloat16>(a.bfloat16_value),
          .table = {
              .pages = a.pages, .batch_stride = a.pages_stride, .page_keys = a.page_keys, .page_count = a.page_count}};
}

template <class T>
attention::HeadsView<T> written(const polariscope_heads& array, const polariscope_attention& attention,
                                std::int64_t heads, std::int64_t rows, std::int64_t width, const char* name) {
  std::array dimensions{std::pair{array.batch_stride, attention.batch}, std::pair{array.head_stride, heads},
                        std::pair{array.row_stride, rows}};
  std::ranges::sort(dimensions, {}, [](const auto& each) { return std::abs(static_cast<double>(each.first)); });
  double span = static_cast<double>(width);
  for (const auto& [stride, size] : dimensions) {
    if (array.data == nullptr || size <= 1) continue;
    const double step = std::abs(static_cast<double>(stride));
    if (step < span) {
      throw Error("{} has strides {}, {} and {}: what is written may not overlap, or be broadcast", name,
                  array.batch_stride, array.head_stride, array.row_stride);
    }
    span += step * static_cast<double>(size - 1);
  }
  return {static_cast<T*>(array.data), array.batch_stride, array.head_stride, array.row_stride};
}

template <class T>
attention::AttentionOutput<T> output_of(const polariscope_rows& rows, const polariscope_attention& a) {
  const auto array = [](void* data) { return static_cast<T*>(data); };
  return {.output = written<T>(rows.output, a, a.heads, a.queries, a.value_width, "output"),
          .statistics = {.entropy = array(rows.entropy),
                         .sum_of_squares = array(rows.sum_of_squares),
                         .maximum = array(rows.maximum),
                         .argmax = rows.argmax,
                         .first_key = array(rows.first_key),
                         .row_sum = array(rows.row_sum),
                         .log_sum_exp = array(rows.log_sum_exp),
                         .logit_mean = array(rows.logit_mean),
                         .logit_variance = array(rows.logit_variance),
                         .logit_maximum = array(rows.logit_maximum),
                         .skewness = array(rows.skewness),
                         .visible = rows.visible,
                         .non_finite = rows.non_finite,
                         .first_visible_key = array(rows.first_visible_key)},
          .shift = array(rows.shift),
          .inverse = array(rows.inverse),
          .mass = array(rows.mass)};
}

template attention::AttentionInput<float> input_of(const polariscope_attention&);
template attention::AttentionInput<double> input_of(const polariscope_attention&);
template attention::HeadsView<float> written(const polariscope_heads&, const polariscope_attention&, std::int64_t,
                                             std::int64_t, std::int64_t, const char*);
template attention::HeadsView<double> written(const polariscope_heads&, const polariscope_attention&, std::int64_t,
                                              std::int64_t, std::int64_t, const char*);
template attention::AttentionOutput<float> output_of(const polariscope_rows&, const polariscope_attention&);
template attention::AttentionOutput<double> output_of(const polariscope_rows&, const polariscope_attention&);

}  // namespace polariscope::c_api
