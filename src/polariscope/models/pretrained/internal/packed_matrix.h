// A matrix that many rows are multiplied with, laid out as products read it fastest.
#pragma once

#include "polariscope/models/pretrained/product_precision.h"

#include <cstdint>
#include <functional>
#include <memory>

namespace polariscope::models {

// T: float, by oneDNN; double, by Eigen: a check, not for speed.
template <class T>
class PackedMatrix {
 public:
  // Writes rows [first, first + count) of the matrix, [outputs, inputs], to `rows`; called from several threads at
  // once.
  using Reader = std::function<void(std::int64_t first, std::int64_t count, float* rows)>;

  PackedMatrix();
  ~PackedMatrix();
  PackedMatrix(PackedMatrix&&) noexcept;
  PackedMatrix& operator=(PackedMatrix&&) noexcept;

  // Memory of an earlier matrix is used again where it is large enough.
  void pack(std::int64_t outputs, std::int64_t inputs, const Reader& read, ProductPrecision precision, int threads);

  std::int64_t outputs() const { return outputs_; }
  std::int64_t inputs() const { return inputs_; }

  // c = a Wᵀ (+ bias) (+ c where `add`). a: [rows, inputs] and c: [rows, outputs], rows `stride` numbers apart;
  // bias: [outputs] or null. On the caller's thread alone; may be called from several.
  void multiply(std::int64_t rows, const T* a, std::int64_t a_stride, const T* bias, bool add, T* c,
                std::int64_t c_stride) const;

 private:
  struct Panels;
  std::int64_t outputs_ = 0, inputs_ = 0;
  std::unique_ptr<Panels> panels_;
};

}  // namespace polariscope::models
