#include "polariscope/models/pretrained/cpu_operations.h"

#include "polariscope/base/parallel.h"
#include "polariscope/models/pretrained/internal/one_of_many.h"
#include "polariscope/models/pretrained/internal/row_kernels.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace polariscope::models {
namespace {

// Rows whose numbers in the widest arrays of a layer stay in the second-level cache, near enough; products of fewer
// are slower.
constexpr std::int64_t kMostRows = 256, kFewestRows = 32;

template <class T>
RowsAt<const T> reading(const Rows<T>& x) {
  return {x.data, x.stride};
}
template <class T>
RowsAt<T> writing(const Rows<T>& x) {
  return {x.data, x.stride};
}

}  // namespace

template <class T>
CpuOperations<T>::CpuOperations(const Description& description, const PretrainedModel& parameters,
                                const RunOptions& options, ForwardObserver<T>* observer)
    : model_(description), parameters_(parameters), options_(options), observer_(observer) {
  if (options_.threads <= 0) options_.threads = processor_count();
}

template <class T>
void CpuOperations<T>::begin(const TokenBatch& texts) {
  texts_ = &texts;
  memory_->release_unused();
  positions_.clear();
  for (std::int64_t t = 0; t < texts.texts(); ++t) {
    for (std::int64_t i = 0; i < texts.length(t); ++i) positions_.push_back(i);
  }
  angles_.clear();
  for (const Rotary& rotary : model_.rotary) angles_.push_back(angles_of(rotary));
}

template <class T>
typename CpuOperations<T>::Angles CpuOperations<T>::angles_of(const Rotary& rotary) const {
  struct Kind {
    RotaryTable table;
    std::int64_t length = 0, first = 0;  // places [first, first + length)
  };
  std::vector<Kind> kinds;
  std::vector<std::size_t> kind_of_text;
  for (std::int64_t t = 0; t < texts_->texts(); ++t) {
    const std::int64_t length = texts_->length(t);
    const RotaryTable table = rotary_table(rotary, length);
    const auto same = std::ranges::find_if(kinds, [&](const Kind& kind) {
      return kind.table.frequencies == table.frequencies && kind.table.factor == table.factor;
    });
    kind_of_text.push_back(same - kinds.begin());
    if (same == kinds.end()) {
      kinds.push_back({table, length});
    } else {
      same->length = std::max(same->length, length);
    }
  }
  Angles angles;
  const std::int64_t pairs = rotary.width / 2;
  std::int64_t places = 0;
  for (Kind& kind : kinds) {
    kind.first = places;
    places += kind.length;
  }
  angles.table.resize(places * 2 * pairs);
  for (const Kind& kind : kinds) {
    parallel_for(kind.length, options_.threads, [&](std::int64_t position) {
      T* cosines = angles.table.data() + (kind.first + position) * 2 * pairs;
      for (std::int64_t i = 0; i < pairs; ++i) {
        const double angle = static_cast<double>(position) * kind.table.frequencies[i];
        cosines[i] = static_cast<T>(std::cos(angle) * kind.table.factor);
        cosines[pairs + i] = static_cast<T>(std::sin(angle) * kind.table.factor);
      }
    });
  }
  for (std::int64_t t = 0; t < texts_->texts(); ++t) {
    for (std::int64_t i = 0; i < texts_->length(t); ++i) angles.places.push_back(kinds[kind_of_text[t]].first + i);
  }
  return angles;
}

template <class T>
void CpuOperations<T>::load(Matrix& to, const std::vector<std::string>& names) const {
  struct Piece {
    const std::string& name;
    std::int64_t first, count;  // its rows in the whole
  };
  std::vector<Piece> pieces;
  std::int64_t outputs = 0, inputs = 0;
  bool with_bias = false;
  for (const std::string& name : names) {
    const std::vector<std::int64_t>& shape = parameters_.shape(name);
    pieces.push_back({name, outputs, shape.at(0)});
    outputs += shape.at(0);
    inputs = shape.at(1);
    with_bias |= parameters_.has(parameter::bias(name));
  }
  const auto read = [&](std::int64_t first, std::int64_t count, float* rows) {
    for (const Piece& piece : pieces) {
      const std::int64_t begin = std::max(first, piece.first), end = std::min(first + count, piece.first + piece.count);
      if (begin >= end) continue;
      parameters_.read_rows(piece.name, begin - piece.first, end - begin, rows + (begin - first) * inputs);
    }
  };
  to.weights.pack(outputs, inputs, read, options_.precision, is_one_of_many() ? 1 : options_.threads);
  to.bias.assign(with_bias ? outputs : 0, T(0));
  for (const Piece& piece : pieces) {
    const std::string bias = parameter::bias(piece.name);
    if (!parameters_.has(bias)) continue;
    Vector numbers;
    load(numbers, bias);
    std::ranges::copy(numbers, to.bias.begin() + piece.first);
  }
}

template <class T>
void CpuOperations<T>::load(Norm& to, const std::string& name) const {
  to = {};
  if (parameters_.has(name)) load(to.weight, name);
  if (parameters_.has(parameter::bias(name))) load(to.bias, parameter::bias(name));
}

template <class T>
void CpuOperations<T>::load(Vector& to, const std::string& name) const {
  std::vector<float> numbers = parameters_.read(name);
  to.assign(numbers.begin(), numbers.end());
}

template <class T>
void CpuOperations<T>::for_ranges(std::int64_t rows, const std::function<void(TokenRange)>& visit) const {
  if (is_one_of_many()) return visit({0, rows});
  const std::int64_t share = (rows + options_.threads - 1) / options_.threads;
  const std::int64_t count = std::clamp((share + 15) / 16 * 16, kFewestRows, kMostRows);
  parallel_for((rows + count - 1) / count, options_.threads, [&](std::int64_t i) {
    const OneOfMany one;
    visit({i * count, std::min(count, rows - i * count)});
  });
}

template <class T>
Rows<T> CpuOperations<T>::make(std::int64_t rows, std::int64_t width) const {
  std::shared_ptr<T> memory = memory_->take(rows * width);
  T* data = memory.get();
  return {data, rows, width, width, std::move(memory)};
}

template <class T>
void CpuOperations<T>::copy(const Array& from, const Array& to) {
  for (std::int64_t r = 0; r < from.rows; ++r) std::copy_n(from.row(r), from.width, to.row(r));
}

template <class T>
Rows<T> CpuOperations<T>::table_rows(const std::string& table, std::span<const std::int64_t> numbers) const {
  const std::int64_t width = parameters_.shape(table).at(1);
  const Array rows = make(static_cast<std::int64_t>(numbers.size()), width);
  std::vector<float> read(width);
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    parameters_.read_rows(table, numbers[r], 1, read.data());
    std::ranges::copy(read, rows.row(r));
  }
  return rows;
}

template <class T>
Rows<T> CpuOperations<T>::token_rows(const std::string& table, TokenRange range) const {
  const auto ids = texts_->ids().subspan(range.first, range.count);
  return table_rows(table, std::vector<std::int64_t>(ids.begin(), ids.end()));
}

template <class T>
Rows<T> CpuOperations<T>::position_rows(const std::string& table, TokenRange range, std::int64_t offset) const {
  std::vector<std::int64_t> numbers(positions_.begin() + range.first, positions_.begin() + range.first + range.count);
  for (std::int64_t& number : numbers) number += offset;
  return table_rows(table, numbers);
}

template <class T>
Rows<T> CpuOperations<T>::first_rows(const std::string& table, TokenRange range) const {
  return table_rows(table, std::vector<std::int64_t>(range.count, 0));
}

template <class T>
Rows<T> CpuOperations<T>::product(const Array& x, const Matrix& matrix) const {
  const Array y = make(x.rows, matrix.weights.outputs());
  const T* bias = matrix.bias.empty() ? nullptr : matrix.bias.data();
  matrix.weights.multiply(x.rows, x.data, x.stride, bias, false, y.data, y.stride);
  return y;
}

template <class T>
Rows<T> CpuOperations<T>::product_added(const Array& to, const Array& x, const Matrix& matrix) const {
  const Array y = make(x.rows, matrix.weights.outputs());
  copy(to, y);
  const T* bias = matrix.bias.empty() ? nullptr : matrix.bias.data();
  matrix.weights.multiply(x.rows, x.data, x.stride, bias, true, y.data, y.stride);
  return y;
}

template <class T>
Rows<T> CpuOperations<T>::norm(const Array& x, const NormDescription& of, const Norm& norm, std::int64_t groups,
                               bool shared) const {
  const Array y = make(x.rows, x.width);
  const std::int64_t width = x.width / groups;
  const NormShape shape{.rows = x.rows,
                        .groups = groups,
                        .width = width,
                        .weight_stride = shared ? 0 : width,
                        .centred = of.kind == NormKind::kLayer,
                        .epsilon = of.epsilon};
  row_kernels<T>().norm(shape, reading(x), norm.weight.empty() ? nullptr : norm.weight.data(),
                        norm.bias.empty() ? nullptr : norm.bias.data(), writing(y));
  return y;
}

template <class T>
Rows<T> CpuOperations<T>::rotated(Array x, std::int64_t rotary, std::int64_t heads, std::int64_t first,
                                  TokenRange range) const {
  const Rotary& of = model_.rotary[rotary];
  const Angles& angles = angles_[rotary];
  const RotaryShape shape{.rows = x.rows,
                          .heads = heads,
                          .head_stride = x.width / heads,
                          .pairs = of.width / 2,
                          .neighbours = of.neighbours};
  row_kernels<T>().rotate(shape, angles.table.data(), angles.places.data() + range.first, {x.data + first, x.stride});
  return x;
}

template <class T>
Rows<T> CpuOperations<T>::with_shared_end(const Array& x, std::int64_t heads, const Array& end) const {
  const std::int64_t own = x.width / heads, width = own + end.width;
  const Array y = make(x.rows, heads * width);
  for (std::int64_t r = 0; r < x.rows; ++r) {
    for (std::int64_t h = 0; h < heads; ++h) {
      T* to = std::copy_n(x.row(r) + h * own, own, y.row(r) + h * width);
      std::copy_n(end.row(r), end.width, to);
    }
  }
  return y;
}

template <class T>
Rows<T> CpuOperations<T>::scaled(Array x, double factor) const {
  if (factor == 1.0) return x;
  for (std::int64_t r = 0; r < x.rows; ++r) {
    for (std::int64_t i = 0; i < x.width; ++i) x.row(r)[i] *= static_cast<T>(factor);
  }
  return x;
}

template <class T>
Rows<T> CpuOperations<T>::add(Array x, const Array& y) const {
  row_kernels<T>().add(x.rows, x.width, reading(y), writing(x));
  return x;
}

template <class T>
Rows<T> CpuOperations<T>::clipped(Array x, double limit) const {
  row_kernels<T>().clip(static_cast<T>(limit), x.rows, x.width, writing(x));
  return x;
}

template <class T>
Rows<T> CpuOperations<T>::activated(Array x, Activation activation) const {
  row_kernels<T>().activate(activation, x.rows, x.width, reading(x), writing(x));
  return x;
}

template <class T>
Rows<T> CpuOperations<T>::gated(Array x, const FeedForwardDescription& of) const {
  const std::int64_t width = x.width / 2;
  const Array up = x.columns(width, width);
  x = x.columns(0, width);
  const GateShape shape{.activation = of.activation,
                        .up_offset = of.up_offset,
                        .limit = of.limit.value_or(std::numeric_limits<double>::infinity())};
  row_kernels<T>().gate(shape, x.rows, width, reading(x), reading(up), writing(x));
  return x;
}

template <class T>
Rows<T> CpuOperations<T>::times_sigmoid(Array x, const Array& gates) const {
  for (std::int64_t r = 0; r < x.rows; ++r) {
    for (std::int64_t i = 0; i < x.width; ++i) x.row(r)[i] /= T(1) + std::exp(-gates.row(r)[i]);
  }
  return x;
}

template class CpuOperations<float>;
template class CpuOperations<double>;

}  // namespace polariscope::models
