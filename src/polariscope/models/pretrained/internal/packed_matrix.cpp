#include "polariscope/models/pretrained/internal/packed_matrix.h"

#include "polariscope/base/error.h"
#include "polariscope/base/parallel.h"
#include "polariscope/models/internal/onednn.h"
#include "polariscope/models/pretrained/internal/one_thread.h"

#include <Eigen/Core>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace polariscope::models {
namespace {

// Outputs of one product: more take longer, each of them (oneDNN 2.6 on Zen 4).
constexpr std::int64_t kPanel = 512;
// Outputs that a thread lays out at once: their numbers, decoded, stay in the second-level cache until then.
constexpr std::int64_t kShare = 64;
static_assert(kPanel % kShare == 0);

using Type = dnnl::memory::data_type;

Type type_of(ProductPrecision precision) { return precision == ProductPrecision::kBfloat16 ? Type::bf16 : Type::f32; }

dnnl::memory::desc rows_of(std::int64_t rows, std::int64_t width, Type type, std::int64_t stride) {
  return {{rows, width}, type, dnnl::memory::dims{stride, 1}};
}

dnnl::matmul::primitive_desc product_of(const dnnl::memory::desc& a, const dnnl::memory::desc& factor,
                                        const dnnl::memory::desc& c, bool with_bias, bool add) {
  dnnl::primitive_attr besides;
  if (add) {
    dnnl::post_ops added;
    added.append_sum();
    besides.set_post_ops(added);
  }
  if (!with_bias) return {dnnl::matmul::desc(a, factor, c), besides, processor()};
  const std::int64_t columns = c.dims()[1];
  return {dnnl::matmul::desc(a, factor, rows_of(1, columns, Type::f32, columns), c), besides, processor()};
}

// Memory that grows and does not shrink.
template <class T>
T* at_least(std::vector<T>& storage, std::int64_t count) {
  if (static_cast<std::int64_t>(storage.size()) < count) storage = std::vector<T>(count);
  return storage.data();
}

}  // namespace

bool has_bfloat16_products() {
  static const bool kHas = dnnl::get_effective_cpu_isa() >= dnnl::cpu_isa::avx512_core_bf16;
  return kHas;
}

template <>
struct PackedMatrix<float>::Panels {
  ProductPrecision precision = ProductPrecision::kFloat32;
  std::vector<dnnl::memory> matrices;  // [inputs, up to kPanel outputs] each
};

template <>
void PackedMatrix<float>::pack(std::int64_t outputs, std::int64_t inputs, const Reader& read,
                               ProductPrecision precision, int threads) {
  const bool again = outputs == outputs_ && inputs == inputs_ && precision == panels_->precision;
  if (!again) *panels_ = {precision, {}};
  // Plain rows, [inputs, panel]. oneDNN has faster layouts for some shapes; but it takes a hundred times as long over
  // those for factors whose rows are not contiguous.
  for (std::int64_t first = 0; !again && first < outputs; first += kPanel) {
    const std::int64_t count = std::min(kPanel, outputs - first);
    panels_->matrices.emplace_back(rows_of(inputs, count, type_of(precision), count), processor());
  }
  outputs_ = outputs;
  inputs_ = inputs;
  parallel_for((outputs + kShare - 1) / kShare, threads, [&](std::int64_t share) {
    const OneThread guard;
    thread_local std::vector<float> scratch;
    const std::int64_t first = share * kShare, count = std::min(kShare, outputs - first);
    float* rows = at_least(scratch, count * inputs);
    read(first, count, rows);
    dnnl::memory from({{inputs, count}, Type::f32, dnnl::memory::dims{1, inputs}}, processor(), rows);
    const dnnl::memory& panel = panels_->matrices[first / kPanel];
    const std::int64_t width = panel.get_desc().dims()[1];
    const std::size_t skipped = (first % kPanel) * (precision == ProductPrecision::kBfloat16 ? 2 : 4);
    dnnl::memory to(rows_of(inputs, count, type_of(precision), width), processor(),
                    static_cast<std::byte*>(panel.get_data_handle()) + skipped);
    dnnl::reorder(from, to).execute(stream(), from, to);
    stream().wait();
  });
}

template <>
void PackedMatrix<float>::multiply(std::int64_t rows, const float* a, std::int64_t a_stride, const float* bias,
                                   bool add, float* c, std::int64_t c_stride) const {
  const OneThread guard;
  // oneDNN's interface knows no constant memory.
  dnnl::memory factor(rows_of(rows, inputs_, Type::f32, a_stride), processor(), const_cast<float*>(a));
  if (panels_->precision == ProductPrecision::kBfloat16) {
    thread_local std::vector<std::uint16_t> scratch;
    dnnl::memory rounded(rows_of(rows, inputs_, Type::bf16, inputs_), processor(), at_least(scratch, rows * inputs_));
    dnnl::reorder(factor, rounded).execute(stream(), factor, rounded);
    factor = rounded;
  }
  std::int64_t first = 0;
  for (const dnnl::memory& matrix : panels_->matrices) {
    const std::int64_t count = std::min(kPanel, outputs_ - first);
    const auto product = product_of(factor.get_desc(), matrix.get_desc(), rows_of(rows, count, Type::f32, c_stride),
                                    bias != nullptr, add);
    std::unordered_map<int, dnnl::memory> arguments{
        {DNNL_ARG_SRC, factor},
        {DNNL_ARG_WEIGHTS, matrix},
        {DNNL_ARG_DST, dnnl::memory(product.dst_desc(), processor(), c + first)}};
    if (bias != nullptr) {
      arguments.emplace(DNNL_ARG_BIAS,
                        dnnl::memory(product.bias_desc(), processor(), const_cast<float*>(bias) + first));
    }
    dnnl::matmul(product).execute(stream(), arguments);
    first += count;
  }
  stream().wait();
}

template <>
struct PackedMatrix<double>::Panels {
  std::vector<double> matrix;  // [outputs, inputs]
};

template <>
void PackedMatrix<double>::pack(std::int64_t outputs, std::int64_t inputs, const Reader& read, ProductPrecision,
                                int threads) {
  outputs_ = outputs;
  inputs_ = inputs;
  double* matrix = at_least(panels_->matrix, outputs * inputs);
  parallel_for((outputs + kPanel - 1) / kPanel, threads, [&](std::int64_t p) {
    const std::int64_t first = p * kPanel, count = std::min(kPanel, outputs - first);
    std::vector<float> rows(count * inputs);
    read(first, count, rows.data());
    std::copy(rows.begin(), rows.end(), matrix + first * inputs);
  });
}

template <>
void PackedMatrix<double>::multiply(std::int64_t rows, const double* a, std::int64_t a_stride, const double* bias,
                                    bool add, double* c, std::int64_t c_stride) const {
  using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Strided = Eigen::OuterStride<>;
  const Eigen::Map<const Matrix, 0, Strided> from(a, rows, inputs_, Strided(a_stride));
  const Eigen::Map<const Matrix> weights(panels_->matrix.data(), outputs_, inputs_);
  Eigen::Map<Matrix, 0, Strided> to(c, rows, outputs_, Strided(c_stride));
  if (!add) to.setZero();
  to.noalias() += from * weights.transpose();
  if (bias != nullptr) to.rowwise() += Eigen::Map<const Eigen::RowVectorXd>(bias, outputs_);
}

template <class T>
PackedMatrix<T>::PackedMatrix() : panels_(std::make_unique<Panels>()) {}
template <class T>
PackedMatrix<T>::~PackedMatrix() = default;
template <class T>
PackedMatrix<T>::PackedMatrix(PackedMatrix&&) noexcept = default;
template <class T>
PackedMatrix<T>& PackedMatrix<T>::operator=(PackedMatrix&&) noexcept = default;

template class PackedMatrix<float>;
template class PackedMatrix<double>;

}  // namespace polariscope::models
