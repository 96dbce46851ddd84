// What is measured of the rows of attention of one text in one layer.
#pragma once

#include "polariscope/attention/attend.h"
#include "polariscope/audit/audit.h"

#include <cstdint>
#include <vector>

namespace polariscope::audit {

// What the pass over the rows leaves behind, [heads, tokens].
template <class T>
struct MeasuredRows {
  std::vector<T> entropy, row_sum, maximum, first_key, first_visible_key, logit_variance, logit_maximum;
  std::vector<std::int32_t> visible;
  std::vector<T> shift, inverse;  // for a second pass (attend_columns); empty without one

  void ask(std::int64_t rows, bool second_pass, attention::AttentionOutput<T>& to);
};

// A text's means of one head, for β.
struct TextMeans {
  double relative_entropy, logit_variance;
};

// Rows [first, first + count) of `rows` are those of a head; its entropies become those of p as it is.
// sums_to_one: rounding is no reason to take the sum of a softmax for another number than 1.
template <class T>
TextMeans add_rows(MeasuredRows<T>& rows, std::int64_t first, std::int64_t count, bool sums_to_one, HeadResult& to);

// Of the texts' means (metrics/variance_entropy.h), NaN below three of them.
double variance_entropy_exponent(const std::vector<TextMeans>& texts);

}  // namespace polariscope::audit
