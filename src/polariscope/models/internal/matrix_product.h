// Matrix products over rows of memory.
#pragma once

#include <cstdint>
#include <memory>

namespace polariscope::models {

// A matrix in row-major memory, or the transpose of one.
template <class T>
struct Operand {
  const T* data;
  std::int64_t stride;  // between rows as they lie
  bool transposed = false;
};

// C = A B + beta C; A is [rows, inner], B is [inner, columns] after transposing, C [rows, columns] without gaps. Single
// precision by oneDNN, which is a tenth faster than OpenBLAS at a transformer's sizes; double by ATen.
void multiply(std::int64_t rows, std::int64_t columns, std::int64_t inner, Operand<float> a, Operand<float> b,
              float beta, float* c);
void multiply(std::int64_t rows, std::int64_t columns, std::int64_t inner, Operand<double> a, Operand<double> b,
              double beta, double* c);

// A matrix that many chunks of rows are multiplied with: laid out once as products read it fastest.
template <class T>
class Factor {
 public:
  // matrix: [inner, columns] after transposing; read here and not again.
  Factor(std::int64_t inner, std::int64_t columns, Operand<T> matrix);
  ~Factor();
  Factor(const Factor&) = delete;
  Factor& operator=(const Factor&) = delete;

  // C = A B + bias + besides. a: [rows, inner]; bias: [columns]; besides and c: [rows, columns]; bias and besides may
  // be null.
  void multiply(std::int64_t rows, const T* a, const T* bias, const T* besides, T* c) const;

 private:
  struct Layout;
  std::unique_ptr<Layout> layout_;
};

}  // namespace polariscope::models
