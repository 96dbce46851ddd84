// What the passes of attention in linear time share, and their kernels, chosen for the processor at run time.
//
// With a_i = scale·φ(q_i) and b_j = φ(k_j) a weight is w_ij = a_i·b_j, so that whatever is a sum over j of w_ij times
// something of the key alone needs the keys once:
//
//   c_j = (b_j, v_j, 1, [j = 0], 0·Σ b_j)          what a key carries; b_j for Σ w² alone
//   S = Σ_j b_j c_jᵀ                               over the keys that a query sees
//   a_iᵀ S = (Σ w b, Σ w v, Σ w, w_0, 0 or NaN)    and Σ w² = a_i·(Σ w b)
//
// Backward, with 1/n and Σ g p of the row (backward-inl.h) the scores' gradient is a product again:
//
//   e_i = (2 g_F a_i/n², dO_i/n, -(Σ g p)/n + g_μ/visible, g_first/n, 0)      ds_ij = e_i·c_j
//   da_i = (Σ_j b_j c_jᵀ) e_i      db_j = (Σ_i a_i e_iᵀ) c_j      dv_j = (Σ_i (dO_i/n) a_iᵀ) b_j
//
// sums over i being over the queries that see the key. Katharopoulos et al. 2020 (arXiv:2006.16236).
#pragma once

#include "polariscope/attention/attend.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace polariscope::attention {

enum class LinearPass {
  kForward,
  kQueryGradient,
  kKeyGradient,  // of keys and values
};

// Where the parts of c and e stand in a row of `stride` numbers. Rows are whole cache lines, and so whole vectors.
template <class T>
struct LinearLayout {
  LinearLayout(const AttentionShape& shape, bool with_squares)
      : squares(with_squares),
        width(shape.width),
        value_width(shape.value_width),
        feature_stride(rounded(width)),
        value_stride(rounded(value_width)),
        values(squares ? feature_stride : 0),
        one(values + value_width),
        first(one + 1),
        spoilt(one + 2),
        stride(rounded(values + std::max(value_stride, value_width + 3))) {}

  // Numbers of the sum over keys, or queries, that a pass keeps.
  std::ptrdiff_t state_size(LinearPass pass) const {
    if (pass == LinearPass::kForward) return width * stride;
    return spoilt * feature_stride + (pass == LinearPass::kKeyGradient ? width * value_stride : 0);
  }

  bool squares;
  std::ptrdiff_t width, value_width, feature_stride, value_stride;
  std::ptrdiff_t values, one, first, spoilt;
  std::ptrdiff_t stride;

 private:
  static std::ptrdiff_t rounded(std::ptrdiff_t count) {
    constexpr std::ptrdiff_t kLine = 64 / sizeof(T);
    return (count + kLine - 1) / kLine * kLine;
  }
};

template <class T>
struct LinearTask {
  const AttentionInput<T>& in;
  const AttentionOutput<T>& out;  // backward: of the forward pass
  LinearLayout<T> layout;
  // Set where finite features have sums that are not: such rows are for the kernels of all pairs.
  std::atomic<bool>& out_of_range;
  HeadsView<const T> d_output = {};
  RowStatisticsGradient<T> upstream = {};
  AttentionGradient<T> gradient = {};
};

// Keys and queries of a key head, the queries of all its heads. Where it has both, as many of each: a query sees the
// key that stands beside it and those of the piece before.
struct LinearPiece {
  std::int64_t batch, key_head;
  std::int64_t key = 0, keys = 0;
  std::int64_t query = 0, queries = 0;
};

// The sums are over what is summed in this pass: keys, or for the gradient of keys and values queries.
// base: of all pieces before (for kKeyGradient: behind), to be applied to the rest of the piece; null: nothing is.
// current: becomes the sum over this piece; null: the piece is not summed.
template <class T>
void run_linear_piece(const LinearTask<T>& task, LinearPass pass, const LinearPiece& piece, const T* base, T* current);

}  // namespace polariscope::attention
