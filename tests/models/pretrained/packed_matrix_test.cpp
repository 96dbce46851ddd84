// Products with a matrix that is laid out once, against sums in double precision.
#include "polariscope/models/pretrained/internal/packed_matrix.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

namespace polariscope::models {
namespace {

float number(std::int64_t i) { return static_cast<float>(std::sin(12.9898 * static_cast<double>(i) + 78.233)); }

struct Shape {
  std::int64_t rows, outputs, inputs;
};
// Fewer and more outputs than a panel has, inputs and rows that fill no vector.
constexpr Shape kShapes[] = {{1, 1, 1}, {3, 5, 18}, {7, 64, 172}, {33, 513, 20}, {2, 1100, 31}, {130, 96, 64}};

template <class T>
void pack(PackedMatrix<T>& matrix, const Shape& shape, ProductPrecision precision) {
  const auto read = [&](std::int64_t first, std::int64_t count, float* rows) {
    for (std::int64_t i = 0; i < count * shape.inputs; ++i) rows[i] = number(first * shape.inputs + i);
  };
  matrix.pack(shape.outputs, shape.inputs, read, precision, 2);
}

// Rows of both sides stand apart, as parts of wider arrays do.
template <class T>
void expect_products(const PackedMatrix<T>& matrix, const Shape& shape, double tolerance) {
  const std::int64_t a_stride = shape.inputs + 3, c_stride = shape.outputs + 2;
  std::vector<T> a(shape.rows * a_stride), bias(shape.outputs);
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = number(static_cast<std::int64_t>(3 * i + 1));
  for (std::size_t i = 0; i < bias.size(); ++i) bias[i] = number(static_cast<std::int64_t>(7 * i));
  for (const bool with_bias : {false, true}) {
    for (const bool add : {false, true}) {
      std::vector<T> c(shape.rows * c_stride, T(0.5));
      matrix.multiply(shape.rows, a.data(), a_stride, with_bias ? bias.data() : nullptr, add, c.data(), c_stride);
      for (std::int64_t r = 0; r < shape.rows; ++r) {
        for (std::int64_t o = 0; o < c_stride; ++o) {
          double expected = add || o >= shape.outputs ? 0.5 : 0.0;
          for (std::int64_t i = 0; i < shape.inputs && o < shape.outputs; ++i) {
            expected += static_cast<double>(a[r * a_stride + i]) * number(o * shape.inputs + i);
          }
          if (with_bias && o < shape.outputs) expected += bias[o];
          ASSERT_NEAR(c[r * c_stride + o], expected, tolerance * std::sqrt(static_cast<double>(shape.inputs)));
        }
      }
    }
  }
}

TEST(PackedMatrix, MultipliesInSinglePrecision) {
  PackedMatrix<float> matrix;  // the same one: memory of an earlier matrix is used again
  for (const Shape& shape : kShapes) {
    pack(matrix, shape, ProductPrecision::kFloat32);
    expect_products(matrix, shape, 1e-6);
  }
}

TEST(PackedMatrix, MultipliesInDoublePrecision) {
  PackedMatrix<double> matrix;
  for (const Shape& shape : kShapes) {
    pack(matrix, shape, ProductPrecision::kFloat32);
    expect_products(matrix, shape, 1e-14);
  }
}

TEST(PackedMatrix, MultipliesRoundedFactors) {
  if (!has_bfloat16_products()) GTEST_SKIP() << "this processor has no products of bfloat16";
  PackedMatrix<float> matrix;
  for (const Shape& shape : kShapes) {
    pack(matrix, shape, ProductPrecision::kBfloat16);
    expect_products(matrix, shape, 1e-2);  // eight bits
  }
}

}  // namespace
}  // namespace polariscope::models
