#include "polariscope/models/language/internal/products.h"

#include "polariscope/base/parallel.h"
#include "polariscope/models/internal/onednn.h"
#include "polariscope/models/pretrained/internal/one_thread.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mm.h>

#include <algorithm>
#include <cstdint>
#include <unordered_map>

namespace polariscope::models {
namespace {

using Type = dnnl::memory::data_type;

// Rows of a product that one thread takes at once, and columns: more do not stay in the second-level cache.
constexpr std::int64_t kRows = 512, kColumns = 512;

Type type_of(const at::Tensor& numbers) { return numbers.scalar_type() == at::kBFloat16 ? Type::bf16 : Type::f32; }

struct Matrix {
  Type type;
  std::byte* data;
  std::int64_t rows, columns, row_stride, column_stride;

  explicit Matrix(const at::Tensor& numbers)
      : type(type_of(numbers)),
        data(static_cast<std::byte*>(numbers.data_ptr())),
        rows(numbers.size(0)),
        columns(numbers.size(1)),
        row_stride(std::max<std::int64_t>(numbers.stride(0), 1)),
        column_stride(1) {}

  Matrix transposed() const {
    Matrix other = *this;
    std::swap(other.rows, other.columns);
    std::swap(other.row_stride, other.column_stride);
    return other;
  }
  Matrix part(std::int64_t first_row, std::int64_t row_count, std::int64_t first_column,
              std::int64_t column_count) const {
    Matrix other = *this;
    const std::int64_t skipped = first_row * row_stride + first_column * column_stride;
    other.data += skipped * (type == Type::bf16 ? 2 : 4);
    other.rows = row_count;
    other.columns = column_count;
    return other;
  }
  dnnl::memory::desc shape() const { return {{rows, columns}, type, dnnl::memory::dims{row_stride, column_stride}}; }
  dnnl::memory memory() const { return {shape(), processor(), data}; }
};

// C = A B (+ bias) (+ C) on this thread alone.
void multiply_alone(const Matrix& a, const Matrix& b, const float* bias, bool add, const Matrix& c) {
  dnnl::primitive_attr besides;
  if (add) {
    dnnl::post_ops added;
    added.append_sum();
    besides.set_post_ops(added);
  }
  const dnnl::memory::desc of_bias({1, c.columns}, Type::f32, dnnl::memory::dims{c.columns, 1});
  const dnnl::matmul::desc product = bias == nullptr ? dnnl::matmul::desc(a.shape(), b.shape(), c.shape())
                                                     : dnnl::matmul::desc(a.shape(), b.shape(), of_bias, c.shape());
  std::unordered_map<int, dnnl::memory> arguments{
      {DNNL_ARG_SRC, a.memory()}, {DNNL_ARG_WEIGHTS, b.memory()}, {DNNL_ARG_DST, c.memory()}};
  // oneDNN's interface knows no constant memory.
  if (bias != nullptr) arguments.emplace(DNNL_ARG_BIAS, dnnl::memory(of_bias, processor(), const_cast<float*>(bias)));
  dnnl::matmul({product, besides, processor()}).execute(stream(), arguments);
  stream().wait();
}

// C = A B by tiles of `rows` x `columns` of C.
void multiply_shared(const Matrix& a, const Matrix& b, const float* bias, bool add, const Matrix& c, std::int64_t rows,
                     std::int64_t columns) {
  const std::int64_t down = (c.rows + rows - 1) / rows, across = (c.columns + columns - 1) / columns;
  parallel_for(down * across, at::get_num_threads(), [&](std::int64_t tile) {
    const OneThread guard;
    const std::int64_t row = tile % down * rows, column = tile / down * columns;
    const std::int64_t height = std::min(rows, c.rows - row), width = std::min(columns, c.columns - column);
    multiply_alone(a.part(row, height, 0, a.columns), b.part(0, b.rows, column, width),
                   bias == nullptr ? nullptr : bias + column, add, c.part(row, height, column, width));
  });
}

bool is_double(const at::Tensor& numbers) { return numbers.scalar_type() == at::kDouble; }

}  // namespace

at::Tensor as_factor(const at::Tensor& numbers, ProductPrecision precision) {
  if (precision == ProductPrecision::kFloat32 || is_double(numbers)) return numbers;
  const at::Tensor rounded = at::empty(numbers.sizes(), numbers.options().dtype(at::kBFloat16));
  const Matrix from(numbers), to(rounded);
  parallel_for((from.rows + kRows - 1) / kRows, at::get_num_threads(), [&](std::int64_t chunk) {
    const OneThread guard;
    const std::int64_t first = chunk * kRows, count = std::min(kRows, from.rows - first);
    dnnl::memory given = from.part(first, count, 0, from.columns).memory(),
                 wanted = to.part(first, count, 0, to.columns).memory();
    dnnl::reorder(given, wanted).execute(stream(), given, wanted);
    stream().wait();
  });
  return rounded;
}

void multiply(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, bool add, const at::Tensor& y) {
  if (is_double(y)) {
    const at::Tensor product = at::mm(x, weight.t());
    add ? y.add_(product) : y.copy_(product);
    if (bias.defined()) y.add_(bias);
    return;
  }
  multiply_shared(Matrix(x), Matrix(weight).transposed(), bias.defined() ? bias.data_ptr<float>() : nullptr, add,
                  Matrix(y), kRows, kColumns);
}

void multiply_back(const at::Tensor& dy, const at::Tensor& weight, const at::Tensor& dx) {
  if (is_double(dx)) {
    dx.copy_(at::mm(dy, weight));
    return;
  }
  multiply_shared(Matrix(dy), Matrix(weight), nullptr, false, Matrix(dx), kRows, kColumns);
}

void multiply_rows(const at::Tensor& dy, const at::Tensor& x, bool add, const at::Tensor& d_weight) {
  if (is_double(d_weight)) {
    const at::Tensor product = at::mm(dy.t(), x);
    add ? d_weight.add_(product) : d_weight.copy_(product);
    return;
  }
  multiply_shared(Matrix(dy).transposed(), Matrix(x), nullptr, add, Matrix(d_weight), kRows, kColumns);
}

}  // namespace polariscope::models
