// Products of bfloat16 numbers with sums in single precision, where the processor has them (AVX512_BF16's vdpbf16ps:
// two products an element and step). Highway 1.0 has neither the target nor the operation.
#pragma once

#include "polariscope/attention/attend.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace polariscope::attention {

// Two bfloat16 numbers, the first in the low half.
using Bfloat16Pair = std::uint32_t;

// Whether this processor has them and kernels run on its widest vectors.
bool has_bfloat16_kernel();
// Whether attend() takes them for this input: `bfloat16` is set and weights are of each key by itself,
// and there is no feature map.
bool takes_bfloat16(const AttentionInput<float>& input);

// What follows needs has_bfloat16_kernel().

// Keys and values of all heads, rounded to nearest, ties to even; the odd last one has a zero beside it.
class Bfloat16Keys {
 public:
  Bfloat16Keys(const AttentionInput<float>& input, int threads);

  // Pairs along the width, a key each: [keys, width_pairs()].
  const Bfloat16Pair* keys(std::int64_t batch, std::int64_t head, std::int64_t key) const {
    return keys_.data() + ((batch * heads_ + head) * count_ + key) * width_pairs_;
  }
  int width_pairs() const { return width_pairs_; }
  // Pairs of keys, from an even one on: [key pairs, value_width].
  const Bfloat16Pair* values(std::int64_t batch, std::int64_t head, std::int64_t key) const {
    return values_.data() + ((batch * heads_ + head) * key_pairs_ + key / 2) * value_width_;
  }

 private:
  std::int64_t heads_ = 0, count_ = 0, key_pairs_ = 0, value_width_ = 0;
  int width_pairs_ = 0;
  std::vector<Bfloat16Pair> keys_, values_;
};

// Null where takes_bfloat16() says no.
std::unique_ptr<const Bfloat16Keys> bfloat16_keys(const AttentionInput<float>& input, int threads);
inline std::unique_ptr<const Bfloat16Keys> bfloat16_keys(const AttentionInput<double>&, int) { return nullptr; }

// W is 16 * vectors, at most 48; tiles are aligned.

// Rows 2s and 2s + 1 of [rows, W] become row s, in place; the odd last one has zeros beside it.
void pack_rows(float* rows, int count, int vectors);
// to[j, q] = scale Σ_s keys[j, s] · queries[s, q]; keys: [count, pairs], queries: [pairs, W], packed.
void bfloat16_scores(const Bfloat16Pair* keys, int count, int pairs, const float* queries, float scale, float* to,
                     int vectors);
// to[i, q] += Σ_s values[s, i] · weights[s, q]; values: [pairs, width], weights: [pairs, W], packed.
void bfloat16_add_values(const Bfloat16Pair* values, int width, int pairs, const float* weights, float* to,
                         int vectors);

}  // namespace polariscope::attention
