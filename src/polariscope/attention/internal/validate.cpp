#include "polariscope/attention/internal/validate.h"

#include "polariscope/base/error.h"

#include <algorithm>
#include <cmath>

namespace polariscope::attention {

template <class T>
void require_array(const T* data, std::int64_t elements, std::string_view name) {
  if (elements > 0 && data == nullptr) throw Error("attention's {} is missing: expected {} numbers", name, elements);
}

namespace {

void validate_pages(const PageTable& table, const AttentionShape& shape, const std::int64_t* lengths) {
  if (table.page_keys < 1) throw Error("pages of {} keys: a page holds at least one", table.page_keys);
  for (std::int64_t b = 0; b < shape.batch; ++b) {
    const std::int64_t keys = lengths != nullptr ? lengths[b] : shape.keys;
    for (std::int64_t n = 0; n * table.page_keys < keys; ++n) {
      const std::int32_t page = table.pages[b * table.batch_stride + n];
      if (page < 0 || page >= table.page_count) {
        throw Error("entry {} of sequence {}'s page table is {}: expected 0 to {}, since there are {} pages", n, b,
                    page, table.page_count - 1, table.page_count);
      }
    }
  }
}

// In one of two arrays.
template <class T>
void require_cached(const T* numbers, const Bfloat16* low, std::int64_t elements, std::string_view name) {
  if (numbers != nullptr && low != nullptr) {
    throw Error("attention has its {} twice, once as bfloat16: leave one of them out", name);
  }
  if (low == nullptr) require_array(numbers, elements, name);
}

}  // namespace

template <class T>
void require_value(const AttentionInput<T>& input) {
  const AttentionShape& s = input.shape;
  require_cached(input.value.data, input.bfloat16_value.data, s.batch * s.key_heads * s.keys * s.value_width, "value");
  if ((input.bfloat16_key.data == nullptr) != (input.bfloat16_value.data == nullptr)) {
    throw Error("keys and values must be of one type: {} is bfloat16, {} is not",
                input.bfloat16_key.data != nullptr ? "key" : "value",
                input.bfloat16_key.data != nullptr ? "value" : "key");
  }
}

template <class T>
void validate(const AttentionInput<T>& input) {
  const AttentionShape& s = input.shape;
  validate(input.form);
  if (s.batch < 0 || s.heads < 0 || s.queries < 0 || s.keys < 0 || s.width < 0 || s.value_width < 0) {
    throw Error(
        "attention over batch {}, heads {}, queries {}, keys {}, width {} and value width {}: none may be negative",
        s.batch, s.heads, s.queries, s.keys, s.width, s.value_width);
  }
  const bool none = s.heads == 0 && s.key_heads == 0;
  if (!none && (s.key_heads < 1 || s.heads % s.key_heads != 0)) {
    throw Error("{} heads over {} key heads: the first must be a multiple of the second", s.heads, s.key_heads);
  }
  if (!std::isfinite(static_cast<T>(input.scale))) {
    throw Error("the scale is {}: it must be a finite number of {} precision", input.scale,
                sizeof(T) == 4 ? "single" : "double");
  }
  if (input.window < 0) throw Error("the window is {}: it must be positive, or 0 for none", input.window);
  // Keys are counted in the numbers they are computed with.
  constexpr std::int64_t kMostKeys = std::int64_t{1} << (sizeof(T) == 4 ? 24 : 53);
  if (s.keys > kMostKeys || s.queries > kMostKeys) {
    throw Error("{} queries and {} keys: at most {} of each", s.queries, s.keys, kMostKeys);
  }
  if (s.width > 65536 || s.value_width > 65536) {
    throw Error("heads of width {} and {}: at most 65536", s.width, s.value_width);
  }
  const auto most = static_cast<double>(std::max<std::int64_t>({s.width, s.value_width, 1}));
  const auto batch = static_cast<double>(s.batch);
  constexpr double kMostNumbers = 0x1p60;  // which an index can count
  if (batch * static_cast<double>(s.heads) * static_cast<double>(s.queries) * most > kMostNumbers ||
      batch * static_cast<double>(s.key_heads) * static_cast<double>(s.keys) * most > kMostNumbers) {
    throw Error("batch {} of {} heads, {} key heads, {} queries and {} keys: too many to be counted", s.batch, s.heads,
                s.key_heads, s.queries, s.keys);
  }
  require_array(input.query.data, s.batch * s.heads * s.queries * s.width, "query");
  require_cached(input.key.data, input.bfloat16_key.data, s.batch * s.key_heads * s.keys * s.width, "key");
  for (std::int64_t b = 0; input.key_lengths != nullptr && b < s.batch; ++b) {
    if (input.key_lengths[b] < 0 || input.key_lengths[b] > s.keys) {
      throw Error("key length {} of sequence {}: expected 0 to {}, the number of keys", input.key_lengths[b], b,
                  s.keys);
    }
  }
  if (input.table.pages != nullptr) validate_pages(input.table, s, input.key_lengths);
  if (input.sink != nullptr && input.form.normaliser != reweighting::Normaliser::kSumAndSink) {
    throw Error("attention {} has no sink: leave it out, or choose sink or softmax1", input.form.name);
  }
}

template <class T>
void validate(const AttentionInput<T>& input, const AttentionOutput<T>& forward,
              const RowStatisticsGradient<T>& d_statistics, const AttentionGradient<T>& gradient) {
  const auto need = [](bool wanted, bool there, const char* what) {
    if (wanted && !there)
      throw Error("the backward pass needs what the forward pass wrote as {}, which is missing", what);
  };
  if (input.bfloat16_key.data != nullptr || input.table.pages != nullptr) {
    throw Error(
        "gradients are of keys and values in one piece and of the type of the queries, not of a cache in pages or "
        "of bfloat16");
  }
  const RowStatistics<T>& is = forward.statistics;
  const bool logits = d_statistics.logit_mean != nullptr || d_statistics.logit_variance != nullptr;
  need(input.form.rule == reweighting::RowRule::kElementwise, forward.shift != nullptr, "shift");
  need(input.form.rule == reweighting::RowRule::kElementwise, forward.inverse != nullptr, "inverse");
  need(input.form.normaliser == reweighting::Normaliser::kMax1, is.row_sum != nullptr, "row_sum");
  need(d_statistics.entropy != nullptr, is.entropy != nullptr, "entropy");
  need(d_statistics.entropy != nullptr, forward.mass != nullptr, "mass");
  need(d_statistics.sum_of_squares != nullptr, is.sum_of_squares != nullptr, "sum_of_squares");
  need(d_statistics.maximum != nullptr, is.maximum != nullptr && is.argmax != nullptr, "maximum and argmax");
  need(d_statistics.first_key != nullptr, is.first_key != nullptr, "first_key");
  need(d_statistics.first_visible_key != nullptr, is.first_visible_key != nullptr, "first_visible_key");
  need(logits, is.logit_mean != nullptr && is.visible != nullptr, "logit_mean and visible");
  need(gradient.parameters.count_power != nullptr, is.visible != nullptr, "visible");
  if (gradient.parameters.transform_factor != nullptr && input.form.transform_factor == 0.0) {
    throw Error("attention {}: a transform_factor of 0 has no gradient", input.form.name);
  }
}

template void require_array(const float*, std::int64_t, std::string_view);
template void require_array(const double*, std::int64_t, std::string_view);
template void require_value(const AttentionInput<float>&);
template void require_value(const AttentionInput<double>&);
template void validate(const AttentionInput<float>&);
template void validate(const AttentionInput<double>&);
template void validate(const AttentionInput<float>&, const AttentionOutput<float>&, const RowStatisticsGradient<float>&,
                       const AttentionGradient<float>&);
template void validate(const AttentionInput<double>&, const AttentionOutput<double>&,
                       const RowStatisticsGradient<double>&, const AttentionGradient<double>&);

}  // namespace polariscope::attention
