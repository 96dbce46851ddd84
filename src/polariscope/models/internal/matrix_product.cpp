#include "polariscope/models/internal/matrix_product.h"

#include "polariscope/base/error.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/core/ivalue.h>  // before <ATen/ops/…>, whose order of includes clang refuses in C++20
#include <ATen/ops/addmm.h>
#include <ATen/ops/from_blob.h>
#include <dnnl.h>

namespace polariscope {
namespace {

at::Tensor view_of(std::int64_t rows, std::int64_t columns, Operand<double> m) {
  const std::vector<std::int64_t> strides =
      m.transposed ? std::vector<std::int64_t>{1, m.stride} : std::vector<std::int64_t>{m.stride, 1};
  // from_blob() takes no constant memory; nothing is written there.
  return at::from_blob(const_cast<double*>(m.data), {rows, columns}, strides, at::TensorOptions(at::kDouble));
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

}  // namespace polariscope
