// Matrix products over rows of memory.
#pragma once

#include <cstdint>

namespace polariscope {

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

}  // namespace polariscope
