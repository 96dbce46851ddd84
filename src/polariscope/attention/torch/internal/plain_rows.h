// Rows of scores as weights and statistics, in LibTorch's operators: what the kernel computes, on any device. Branches
// that are not taken are kept finite, so that their derivatives are.
#pragma once

#include "polariscope/attention/torch/internal/arguments.h"

namespace polariscope::attention {

// [batch, heads, rows, keys], and of each row [batch, heads, rows].
struct PlainRows {
  at::Tensor z, visible;  // logits, 0 where hidden
  at::Tensor count;       // n, at least 1, in the type of z
  at::Tensor p;
  at::Tensor size, log_size;  // |w| up to a factor of the row; its logarithm where it is positive, else 0
  at::Tensor total;           // row_sum
  at::Tensor log_sum_exp;     // undefined of weights that are no exponentials
};

// scores: 0 where hidden. lengths: keys of each sequence, [batch, 1, 1, 1]; sink: [heads] or undefined.
PlainRows weighed(const reweighting::AttentionForm& form, const at::Tensor& scores, const at::Tensor& visible,
                  const at::Tensor& lengths, const at::Tensor& sink);

// A statistic by its name, [batch, heads, rows], of the type that it has; not column_means and non_finite.
at::Tensor statistic_of(const PlainRows& rows, const std::string& name);

}  // namespace polariscope::attention
