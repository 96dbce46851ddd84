// The matrix products of a transformer's training step, and nothing else of it.
#pragma once

#include "polariscope/models/model.h"

#include <ATen/core/Tensor.h>

#include <vector>

namespace polariscope::bench {

// Of its linear layers, forward and backward, on random numbers; attention's own products are not among them.
class TrainProducts {
 public:
  // rows: tokens of a batch.
  TrainProducts(const models::ModelShape& shape, bool mlp, std::int64_t rows);

  void by_our_library() const;  // the call and the chunks of rows that our layers use
  void by_aten() const;         // whole products, ATen's call: OpenBLAS
  double operations() const;    // a fused multiply-add counts as two

 private:
  struct Product {
    at::Tensor x, weight, y, dx, d_weight;  // y = x weightᵀ; dx = y weight; d_weight = yᵀ x
  };
  std::vector<Product> products_;
};

}  // namespace polariscope::bench
