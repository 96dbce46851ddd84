// Few queries against many keys, as in decoding with a cache: each head's keys and values are read once for all queries
// of all heads that share them. The rows of a key head, those queries, take its keys in splits that depend on the shape
// alone, each an item of its own; what the splits leave is merged in their order. So the bits are the same for any
// number of threads.
#pragma once

#include "polariscope/attention/attend.h"
#include "polariscope/attention/internal/blocks.h"

#include <cstddef>
#include <cstdint>

namespace polariscope::attention {

inline constexpr int kDecodeKeys = 128;       // a block: its keys and values stay in the second-level cache
inline constexpr int kDecodeRows = 64;        // of an item
inline constexpr int kDecodeKeysAtOnce = 4;   // in registers
inline constexpr int kDecodeQuantities = 17;  // of running-inl.h

// What a product asks of memory while it computes: of one of these rows for each key that it passes, what it reads of
// the key, a number having so many bytes. Null: nothing.
struct Fetch {
  const void* const* rows = nullptr;
  int bytes = 0;
};

// Which rows of a key head an item takes past which keys. Row r of a key head is query r % queries of its head
// r / queries; `first_row` counts over all heads of all sequences.
struct DecodeItem {
  std::int64_t batch, key_head, split;
  std::int64_t begin, end;  // keys
  std::int64_t row, first_row;
  int rows;
};

// How the work is cut, and what the items leave for the merge.
class DecodePlan {
 public:
  explicit DecodePlan(const AttentionShape& shape);

  std::int64_t items() const { return shape_.batch * splits_ * shape_.key_heads * row_groups_; }
  DecodeItem operator[](std::int64_t index) const;

  std::int64_t splits() const { return splits_; }
  std::int64_t rows() const { return shape_.batch * shape_.heads * shape_.queries; }
  std::int64_t padded_rows() const { return padded_rows_; }
  std::int64_t padded_width() const { return padded_width_; }  // of the output
  // Numbers that the items leave: states [splits, quantities, padded_rows], outputs [splits, rows, padded_width],
  // z of the first key that each row sees, [padded_rows].
  std::int64_t states() const { return splits_ * kDecodeQuantities * padded_rows_; }
  std::int64_t outputs() const { return splits_ * rows() * padded_width_; }

 private:
  AttentionShape shape_;
  std::int64_t group_rows_, row_groups_, split_keys_, splits_, padded_rows_, padded_width_;
};

// first is null where it is not wanted.
struct DecodePartials {
  float *states, *outputs, *first;
};

// Whether the input is of few queries and many keys, and of a form that is served, and nothing is asked for that other
// passes need: these compute the scores anew, which must round as they did.
bool decode_serves(const AttentionInput<float>& input, const AttentionOutput<float>& output);
inline bool decode_serves(const AttentionInput<double>&, const AttentionOutput<double>&) { return false; }

// decode_serves(input, output) must hold.
void attend_decode(const AttentionInput<float>& input, const AttentionOutput<float>& output, int threads);
inline void attend_decode(const AttentionInput<double>&, const AttentionOutput<double>&, int) {}

// Kernels, chosen for the processor at run time.
void run_decode_item(const AttentionInput<float>& input, const Wanted& wanted, const DecodePlan& plan,
                     const DecodeItem& item, const DecodePartials& partials);
// Rows [first, first + count), at most a vector of them.
void merge_decode_rows(const AttentionInput<float>& input, const AttentionOutput<float>& output, const DecodePlan& plan,
                       std::int64_t first, int count, const DecodePartials& partials);

}  // namespace polariscope::attention
