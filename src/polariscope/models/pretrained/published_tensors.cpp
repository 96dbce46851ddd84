#include "polariscope/models/pretrained/published_tensors.h"

#include "polariscope/base/error.h"

#include <algorithm>
#include <functional>
#include <numeric>

namespace polariscope::models {
namespace {

std::int64_t count_of(std::span<const std::int64_t> shape) {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

// Rows of the whole of which a parameter of `rows` rows has its part.
std::int64_t whole_rows(const RowRange& range, std::int64_t rows) {
  return range.count == 0 ? rows : rows / range.count * range.period;
}

std::int64_t whole_row(const RowRange& range, std::int64_t row) {
  return range.count == 0 ? row : row / range.count * range.period + range.first + row % range.count;
}

}  // namespace

std::vector<PublishedTensor> published_tensors(
    const std::map<std::string, std::vector<std::int64_t>, std::less<>>& shapes, const Sources& sources,
    const std::function<std::span<const float>(std::string_view parameter)>& numbers) {
  std::map<std::string, PublishedTensor> tensors;
  std::map<std::string, std::int64_t> experts;
  for (const auto& [parameter, source] : sources) {
    if (shapes.contains(parameter)) experts[source.tensor] = std::max(experts[source.tensor], source.expert + 1);
  }
  for (const auto& [parameter, shape] : shapes) {
    const auto found = sources.find(parameter);
    if (found == sources.end()) throw Error("nothing says which tensor has the model's {}", parameter);
    const Source& source = found->second;
    if (source.stacked > 0) throw Error("the model's {} is stored in parts: such a model is not written", parameter);
    const std::int64_t rows = shape[0], columns = shape.size() > 1 ? shape[1] : 1;
    const std::int64_t whole = whole_rows(source.rows, rows);
    PublishedTensor& to = tensors[source.tensor];
    if (to.name.empty()) {
      to.name = source.tensor;
      if (shape.size() == 1) {
        to.shape = {whole};
      } else if (source.transposed) {
        to.shape = {columns, whole};
      } else {
        to.shape = {whole, columns};
      }
      if (source.expert >= 0) to.shape.insert(to.shape.begin(), experts[source.tensor]);
      to.numbers.resize(static_cast<std::size_t>(count_of(to.shape)));
    }
    float* part = to.numbers.data() + std::max<std::int64_t>(source.expert, 0) * whole * columns;
    const std::span<const float> given = numbers(parameter);
    const auto less = static_cast<float>(source.add);
    for (std::int64_t r = 0; r < rows; ++r) {
      const std::int64_t row = whole_row(source.rows, r);
      for (std::int64_t c = 0; c < columns; ++c) {
        part[source.transposed ? c * whole + row : row * columns + c] = given[r * columns + c] - less;
      }
    }
  }
  std::vector<PublishedTensor> all;
  for (auto& [name, tensor] : tensors) all.push_back(std::move(tensor));
  return all;
}

}  // namespace polariscope::models
