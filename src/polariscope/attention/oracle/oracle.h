// The reference that the attention kernels are held to: one materialised row at a time, plain loops, no
// blocking, no vectors. Equations: docs/attention.md.
#pragma once

#include "polariscope/attention/attend.h"

namespace polariscope::attention {

// All arithmetic is in T. The double oracle says what is right for single precision and the long double
// oracle for double; the oracle of a kernel's own type says how far off naive code of that type would be.
// Inputs are taken as valid. T: float, double, long double.

// As attend(); an output without data is left out.
template <class T>
void oracle_attend(const AttentionInput<T>& input, const AttentionOutput<T>& output);

// p, [batch, heads, queries, keys]; 0 where a query does not see a key.
template <class T>
void oracle_weights(const AttentionInput<T>& input, T* weights);

// As attend_columns(); 0 for a key that no query sees.
template <class T>
void oracle_attend_columns(const AttentionInput<T>& input, T* column_means);

// As attend_backward(), by the chain rule over rows that it computes itself. A d_output without data is zero.
template <class T>
void oracle_attend_backward(const AttentionInput<T>& input, HeadsView<const T> d_output,
                            const RowStatisticsGradient<T>& d_statistics, const AttentionGradient<T>& gradient);

}  // namespace polariscope::attention
