#include "polariscope/models/internal/matrix_product.h"

#include "polariscope/base/error.h"
#include "polariscope/models/internal/onednn.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/core/ivalue.h>  // before <ATen/ops/…>, whose order of includes clang refuses in C++20
#include <ATen/ops/addmm.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mm.h>

#include <unordered_map>

namespace polariscope::models {
namespace {

at::Tensor view_of(std::int64_t rows, std::int64_t columns, Operand<double> m) {
  const std::vector<std::int64_t> strides =
      m.transposed ? std::vector<std::int64_t>{1, m.stride} : std::vector<std::int64_t>{m.stride, 1};
  // from_blob() takes no constant memory; nothing is written there.
  return at::from_blob(const_cast<double*>(m.data), {rows, columns}, strides, at::TensorOptions(at::kDouble));
}

dnnl::memory::desc matrix_of(std::int64_t rows, std::int64_t columns, bool transposed, std::int64_t stride) {
  return {{rows, columns},
          dnnl::memory::data_type::f32,
          transposed ? dnnl::memory::dims{1, stride} : dnnl::memory::dims{stride, 1}};
}

dnnl::memory memory_at(const dnnl::memory::desc& shape, const float* data) {
  return {shape, processor(), const_cast<float*>(data)};  // the library's interface knows no constant memory
}

dnnl::matmul::primitive_desc product_of(std::int64_t rows, std::int64_t columns, std::int64_t inner,
                                        const dnnl::memory::desc& factor, bool with_bias, bool with_besides) {
  const dnnl::memory::desc a = matrix_of(rows, inner, false, inner), c = matrix_of(rows, columns, false, columns);
  dnnl::primitive_attr besides;
  if (with_besides) {
    dnnl::post_ops added;
    added.append_binary(dnnl::algorithm::binary_add, c);
    besides.set_post_ops(added);
  }
  if (!with_bias) return {dnnl::matmul::desc(a, factor, c), besides, processor()};
  return {dnnl::matmul::desc(a, factor, matrix_of(1, columns, false, columns), c), besides, processor()};
}

}  // namespace

void multiply(std::int64_t rows, std::int64_t columns, std::int64_t inner, Operand<float> a, Operand<float> b,
              float beta, float* c) {
  const dnnl_status_t status = dnnl_sgemm(a.transposed ? 'T' : 'N', b.transposed ? 'T' : 'N', rows, columns, inner,
                                          1.0f, a.data, a.stride, b.data, b.stride, beta, c, columns);
  if (status != dnnl_success) {
    throw Error("oneDNN cannot multiply [{}, {}] by [{}, {}] (status {})", rows, inner, inner, columns, int(status));
  }
}

void multiply(std::int64_t rows, std::int64_t columns, std::int64_t inner, Operand<double> a, Operand<double> b,
              double beta, double* c) {
  const at::NoGradGuard guard;
  at::Tensor to = at::from_blob(c, {rows, columns}, at::TensorOptions(at::kDouble));
  to.addmm_(view_of(rows, inner, a), view_of(inner, columns, b), beta);
}

template <>
struct Factor<float>::Layout {
  std::int64_t inner, columns;
  dnnl::memory matrix;
};

template <>
Factor<float>::Factor(std::int64_t inner, std::int64_t columns, Operand<float> matrix) {
  constexpr std::int64_t kRows = 512;  // that the layout is chosen for
  const dnnl::memory::desc any({inner, columns}, dnnl::memory::data_type::f32, dnnl::memory::format_tag::any);
  dnnl::memory fastest(product_of(kRows, columns, inner, any, false, false).weights_desc(), processor());
  dnnl::memory given = memory_at(matrix_of(inner, columns, matrix.transposed, matrix.stride), matrix.data);
  dnnl::reorder(given, fastest).execute(stream(), given, fastest);
  stream().wait();
  layout_ = std::make_unique<Layout>(Layout{inner, columns, fastest});
}

template <>
Factor<float>::~Factor() = default;

template <>
void Factor<float>::multiply(std::int64_t rows, const float* a, const float* bias, const float* besides,
                             float* c) const {
  const auto product = product_of(rows, layout_->columns, layout_->inner, layout_->matrix.get_desc(), bias != nullptr,
                                  besides != nullptr);
  std::unordered_map<int, dnnl::memory> arguments{{DNNL_ARG_SRC, memory_at(product.src_desc(), a)},
                                                  {DNNL_ARG_WEIGHTS, layout_->matrix},
                                                  {DNNL_ARG_DST, memory_at(product.dst_desc(), c)}};
  if (bias != nullptr) arguments.emplace(DNNL_ARG_BIAS, memory_at(product.bias_desc(), bias));
  if (besides != nullptr) {
    arguments.emplace(DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, memory_at(product.dst_desc(), besides));
  }
  dnnl::matmul(product).execute(stream(), arguments);
  stream().wait();
}

template <>
struct Factor<double>::Layout {
  at::Tensor matrix;
};

template <>
Factor<double>::Factor(std::int64_t inner, std::int64_t columns, Operand<double> matrix)
    : layout_(std::make_unique<Layout>(Layout{view_of(inner, columns, matrix)})) {}

template <>
Factor<double>::~Factor() = default;

template <>
void Factor<double>::multiply(std::int64_t rows, const double* a, const double* bias, const double* besides,
                              double* c) const {
  const at::NoGradGuard guard;
  const std::int64_t inner = layout_->matrix.size(0), columns = layout_->matrix.size(1);
  at::Tensor to = at::from_blob(c, {rows, columns}, at::TensorOptions(at::kDouble));
  at::mm_out(to, view_of(rows, inner, {a, inner}), layout_->matrix);
  if (bias != nullptr) to.add_(view_of(1, columns, {bias, columns}));
  if (besides != nullptr) to.add_(view_of(rows, columns, {besides, columns}));
}

}  // namespace polariscope::models
