#include "bench/train_products.h"

#include "polariscope/models/internal/matrix_product.h"

#include <ATen/core/grad_mode.h>
#include <ATen/core/ivalue.h>  // before <ATen/ops/…>, whose order of includes clang refuses in C++20
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>

#include <algorithm>

namespace polariscope::bench {
namespace {

constexpr std::int64_t kChunk = 512;  // as in models/layers.cpp

float* row(const at::Tensor& matrix, std::int64_t first) { return matrix.data_ptr<float>() + first * matrix.size(1); }

}  // namespace

TrainProducts::TrainProducts(const models::ModelShape& o, bool mlp, std::int64_t rows) {
  const auto add = [&](std::int64_t inputs, std::int64_t outputs) {
    products_.push_back({at::randn({rows, inputs}), at::randn({outputs, inputs}), at::empty({rows, outputs}),
                         at::empty({rows, inputs}), at::empty({outputs, inputs})});
  };
  for (std::int64_t layer = 0; layer < o.layers; ++layer) {
    add(o.width, 3 * o.width);
    add(o.width, o.width);
    if (!mlp) continue;
    add(o.width, 4 * o.width);
    add(4 * o.width, o.width);
  }
  add(o.width, o.outputs);
}

void TrainProducts::by_our_library() const {
  for (const Product& p : products_) {
    const std::int64_t rows = p.x.size(0), inputs = p.x.size(1), outputs = p.y.size(1);
    const models::Factor<float> factor(inputs, outputs, {row(p.weight, 0), inputs, true});
    for (std::int64_t first = 0; first < rows; first += kChunk) {
      factor.multiply(std::min(kChunk, rows - first), row(p.x, first), nullptr, nullptr, row(p.y, first));
    }
  }
  for (std::size_t i = products_.size(); i-- > 0;) {
    const Product& p = products_[i];
    const std::int64_t rows = p.x.size(0), inputs = p.x.size(1), outputs = p.y.size(1);
    const models::Factor<float> factor(outputs, inputs, {row(p.weight, 0), inputs});
    for (std::int64_t first = 0; first < rows; first += kChunk) {
      const std::int64_t count = std::min(kChunk, rows - first);
      factor.multiply(count, row(p.y, first), nullptr, nullptr, row(p.dx, first));
      models::multiply(outputs, inputs, count, models::Operand<float>{row(p.y, first), outputs, true},
                       models::Operand<float>{row(p.x, first), inputs}, first == 0 ? 0.0F : 1.0F, row(p.d_weight, 0));
    }
  }
}

void TrainProducts::by_aten() const {
  const at::NoGradGuard guard;
  for (const Product& p : products_) {
    at::Tensor y = p.y;
    at::mm_out(y, p.x, p.weight.t());
  }
  for (std::size_t i = products_.size(); i-- > 0;) {
    const Product& p = products_[i];
    at::Tensor dx = p.dx, d_weight = p.d_weight;
    at::mm_out(dx, p.y, p.weight);
    at::mm_out(d_weight, p.y.t(), p.x);
  }
}

double TrainProducts::operations() const {
  double all = 0.0;
  for (const Product& p : products_) all += 6.0 * static_cast<double>(p.x.numel() * p.y.size(1));
  return all;
}

}  // namespace polariscope::bench
