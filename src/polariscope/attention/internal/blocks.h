// How the queries are cut into blocks, what a thread keeps for one, and what is to be measured of it.
#pragma once

#include "polariscope/attention/attend.h"

#include <hwy/aligned_allocator.h>

#include <cstddef>
#include <cstdint>

namespace polariscope::attention {

class Bfloat16Keys;

inline constexpr int kTileKeys = 64;
inline constexpr int kBlockVectors = 3;
inline constexpr int kBlocksAtOnce = 4;                    // that pass over the keys together where these are many
inline constexpr int kMaxBlockWidth = kBlockVectors * 16;  // lanes of the widest vector of floats

// Which running sums the statistics need.
struct Wanted {
  bool entropy, squares, largest, logit_moments, skewness;
};
template <class T>
Wanted wanted(const RowStatistics<T>& statistics) {
  return {.entropy = statistics.entropy != nullptr,
          .squares = statistics.sum_of_squares != nullptr,
          .largest = statistics.maximum != nullptr || statistics.argmax != nullptr,
          .logit_moments = statistics.logit_mean != nullptr || statistics.logit_variance != nullptr,
          .skewness = statistics.skewness != nullptr};
}

// What a head's rows owe in all to the numbers that they share: AttentionGradient's, of a head.
struct SharedDue {
  double sink = 0.0, transform_factor = 0.0, sum_offset = 0.0, count_power = 0.0, gamma = 0.0, zeta = 0.0,
         epsilon = 0.0, alpha = 0.0;
};

// Its lanes beyond `count` repeat the last query and are never stored.
struct QueryBlock {
  std::int64_t batch, head, key_head;
  std::int64_t first;
  int count, vectors;
  const Bfloat16Keys* low = nullptr;  // in place of the input's keys and values
};

// Blocks of three vectors; what is left over goes into blocks of two rather than a lone one, which would
// keep a product from filling its registers.
class QueryBlocks {
 public:
  // low: QueryBlock::low of all.
  QueryBlocks(const AttentionShape& shape, bool largest_first, int lanes, const Bfloat16Keys* low = nullptr);
  std::int64_t size() const { return shape_.batch * shape_.heads * per_head_; }
  QueryBlock operator[](std::int64_t index) const;
  std::int64_t per_head() const { return per_head_; }
  QueryBlock block(std::int64_t batch, std::int64_t head, std::int64_t nth) const;

  // How many blocks of a head take its keys together, each as it would alone: 1 where numbers of so many bytes leave
  // them room in the second-level cache, or where more would leave one of `workers` idle.
  std::int64_t at_once(std::int64_t bytes, std::int64_t workers) const;

 private:
  AttentionShape shape_;
  const Bfloat16Keys* low_;
  bool largest_first_;  // under a causal mask the last queries see most: they start first
  int lanes_;
  std::int64_t threes_, twos_, per_head_;
};

// Whether lanes should be heads rather than queries, whose vectors would stay half empty (tiny-inl.h).
template <class T>
bool is_tiny(const AttentionInput<T>& input, int lanes) {
  const AttentionShape& s = input.shape;
  return input.form.rule == reweighting::RowRule::kElementwise &&
         input.form.transform == reweighting::Transform::kNone && input.bias.data == nullptr &&
         input.slopes == nullptr && s.queries > 0 && s.queries < 2 * lanes && s.keys > 0 && s.keys <= kTileKeys &&
         s.width <= 64 && s.value_width <= 64 && s.batch * s.heads >= lanes;
}

// Arrays of a block of W lanes. Their size does not depend on the number of keys.
template <class T>
struct BlockWorkspace {
  // shared: whose scores, weights and mapped keys it uses, for a block that takes its tiles in turn with that one's;
  // null: its own.
  BlockWorkspace(const AttentionShape& shape, int quantities, const BlockWorkspace* shared = nullptr);

  hwy::AlignedFreeUniquePtr<T[]> storage;
  std::ptrdiff_t mapped_stride;
  T* query;    // φ(q)·scale, [width, W]
  T* scores;   // [kTileKeys, W]
  T* weights;  // [kTileKeys, W]
  T* output;   // [value_width, W]
  T* mapped;   // φ(k), [kTileKeys, mapped_stride]
  T* running;  // [quantities, W]
  T* first;    // keys that a query sees: [first, end), [W] each
  T* end;
};

// What the backward pass needs besides. Rows are padded to whole vectors.
template <class T>
struct BackwardWorkspace {
  explicit BackwardWorkspace(const AttentionShape& shape);

  hwy::AlignedFreeUniquePtr<T[]> storage;
  std::ptrdiff_t stride, value_stride;
  T* d_output;       // [value_width, W]
  T* d_output_rows;  // [W, value_stride]
  T* query_rows;     // φ(q)·scale, [W, stride]
  T* d_query;        // [width, W]
  T* d_key;          // with respect to φ(k), [keys, stride]
  T* d_value;        // [keys, value_stride]
};

}  // namespace polariscope::attention
