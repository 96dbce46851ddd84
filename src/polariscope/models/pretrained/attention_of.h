// Attention's kernel for a description of it.
#pragma once

#include "polariscope/models/pretrained/description.h"
#include "polariscope/reweighting/attention_form.h"

#include <cstdint>
#include <vector>

namespace polariscope::models {

// Its row of the table. Throws Error for a combination that the kernel has not.
reweighting::AttentionForm attention_form_of(const AttentionDescription& of);

// What the kernel takes besides queries, keys and values.
template <class T>
struct AttentionExtras {
  std::vector<T> slopes;         // [heads], or none: the kernel's own ALiBi, -slope·distance
  std::vector<T> bias;           // [heads or 1, keys], or none: the same for all queries
  std::int64_t bias_stride = 0;  // between heads
};

template <class T>
AttentionExtras<T> attention_extras_of(const AttentionDescription& of, std::int64_t keys);

}  // namespace polariscope::models
