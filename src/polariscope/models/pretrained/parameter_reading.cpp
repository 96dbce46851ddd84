#include "polariscope/base/error.h"
#include "polariscope/models/pretrained/internal/stored_source.h"
#include "polariscope/models/pretrained/parameters.h"

#include <bit>
#include <cmath>
#include <cstdint>

namespace polariscope::models {
namespace {

using checkpoints::Tensor;

// Infinities and NaN have an exponent of ones.
bool all_finite(const float* numbers, std::int64_t count) {
  constexpr std::uint32_t kExponent = 0x7f800000;
  std::uint32_t found = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    found |= static_cast<std::uint32_t>((std::bit_cast<std::uint32_t>(numbers[i]) & kExponent) == kExponent);
  }
  return found == 0;
}

}  // namespace

const std::vector<std::int64_t>& PretrainedModel::shape(std::string_view parameter) const {
  const auto found = shapes_.find(parameter);
  if (found == shapes_.end()) throw std::out_of_range("the model has no parameter " + std::string(parameter));
  return found->second;
}

void PretrainedModel::read_rows(std::string_view parameter, std::int64_t first, std::int64_t rows, float* into) const {
  const std::vector<std::int64_t>& full = shape(parameter);
  const std::int64_t columns = full.size() < 2 ? 1 : full.back();
  read_source(checkpoint_, sources_.find(parameter)->second, columns, first, rows, into);
  if (all_finite(into, rows * columns)) return;
  std::int64_t bad = 0;
  while (std::isfinite(into[bad])) ++bad;
  throw Error("{}: {} has a weight that is not finite ({}), in row {}, column {} of the model's {}",
              checkpoint_.path().string(), place(parameter), into[bad], first + bad / columns, bad % columns,
              parameter);
}

std::vector<float> PretrainedModel::read(std::string_view parameter) const {
  const std::vector<std::int64_t>& full = shape(parameter);
  std::int64_t numbers = 1;
  for (const std::int64_t extent : full) numbers *= extent;
  std::vector<float> all(static_cast<std::size_t>(numbers));
  read_rows(parameter, 0, full.front(), all.data());
  return all;
}

std::optional<StoredMatrix> PretrainedModel::stored(std::string_view parameter) const {
  const std::vector<std::int64_t>& full = shape(parameter);
  const Source& source = sources_.find(parameter)->second;
  if (full.size() != 2 || source.stacked > 0 || source.transposed || source.add != 0.0) return std::nullopt;
  const Tensor& tensor = *checkpoint_.find(source.tensor);
  const std::int64_t stored_rows = checkpoints::size_of(tensor) / full[1];
  const std::int64_t experts = source.expert < 0 ? 1 : tensor.shape.front();
  if (source.rows.count > 0 && stored_rows / experts != source.rows.period) return std::nullopt;
  const std::int64_t first = std::max<std::int64_t>(source.expert, 0) * (stored_rows / experts) + source.rows.first;
  const auto row_bytes = static_cast<std::int64_t>(tensor.bytes.size()) / stored_rows;
  return StoredMatrix{.type = tensor.type,
                      .rows = full[0],
                      .columns = full[1],
                      .bytes = tensor.bytes.subspan(static_cast<std::size_t>(first * row_bytes),
                                                    static_cast<std::size_t>(full[0] * row_bytes))};
}

std::string PretrainedModel::place(std::string_view parameter) const {
  return "tensor \"" + sources_.find(parameter)->second.tensor + "\"";
}

}  // namespace polariscope::models
