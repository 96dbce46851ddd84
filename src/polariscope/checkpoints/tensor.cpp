#include "polariscope/checkpoints/tensor.h"

#include "polariscope/base/error.h"
#include "polariscope/checkpoints/internal/decode.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>

namespace polariscope::checkpoints {
namespace {

struct TypeRow {
  TensorType type;
  std::string_view name;
  Block block;
  Decode decode;  // null: named, not read
};

constexpr TypeRow kTypes[] = {
    {TensorType::kBool, "BOOL", {1, 1}, decode_bool},
    {TensorType::kF4, "F4", {2, 1}, nullptr},
    {TensorType::kF6E2M3, "F6_E2M3", {4, 3}, nullptr},
    {TensorType::kF6E3M2, "F6_E3M2", {4, 3}, nullptr},
    {TensorType::kU8, "U8", {1, 1}, decode_u8},
    {TensorType::kI8, "I8", {1, 1}, decode_i8},
    {TensorType::kF8E5M2, "F8_E5M2", {1, 1}, decode_f8_e5m2},
    {TensorType::kF8E4M3, "F8_E4M3", {1, 1}, decode_f8_e4m3},
    {TensorType::kF8E8M0, "F8_E8M0", {1, 1}, nullptr},
    {TensorType::kF8E4M3Fnuz, "F8_E4M3FNUZ", {1, 1}, nullptr},
    {TensorType::kF8E5M2Fnuz, "F8_E5M2FNUZ", {1, 1}, nullptr},
    {TensorType::kI16, "I16", {1, 2}, decode_i16},
    {TensorType::kU16, "U16", {1, 2}, decode_u16},
    {TensorType::kF16, "F16", {1, 2}, decode_f16},
    {TensorType::kBf16, "BF16", {1, 2}, decode_bf16},
    {TensorType::kI32, "I32", {1, 4}, decode_i32},
    {TensorType::kU32, "U32", {1, 4}, decode_u32},
    {TensorType::kF32, "F32", {1, 4}, decode_f32},
    {TensorType::kC64, "C64", {1, 8}, nullptr},
    {TensorType::kF64, "F64", {1, 8}, decode_f64},
    {TensorType::kI64, "I64", {1, 8}, decode_i64},
    {TensorType::kU64, "U64", {1, 8}, decode_u64},
    {TensorType::kQ40, "Q4_0", {32, 18}, decode_q4_0},
    {TensorType::kQ41, "Q4_1", {32, 20}, decode_q4_1},
    {TensorType::kQ50, "Q5_0", {32, 22}, decode_q5_0},
    {TensorType::kQ51, "Q5_1", {32, 24}, decode_q5_1},
    {TensorType::kQ80, "Q8_0", {32, 34}, decode_q8_0},
    {TensorType::kQ81, "Q8_1", {32, 36}, nullptr},
    {TensorType::kQ2K, "Q2_K", {256, 84}, decode_q2_k},
    {TensorType::kQ3K, "Q3_K", {256, 110}, decode_q3_k},
    {TensorType::kQ4K, "Q4_K", {256, 144}, decode_q4_k},
    {TensorType::kQ5K, "Q5_K", {256, 176}, decode_q5_k},
    {TensorType::kQ6K, "Q6_K", {256, 210}, decode_q6_k},
    {TensorType::kQ8K, "Q8_K", {256, 292}, nullptr},
    {TensorType::kIq2Xxs, "IQ2_XXS", {256, 66}, nullptr},
    {TensorType::kIq2Xs, "IQ2_XS", {256, 74}, nullptr},
    {TensorType::kIq2S, "IQ2_S", {256, 82}, nullptr},
    {TensorType::kIq3Xxs, "IQ3_XXS", {256, 98}, nullptr},
    {TensorType::kIq3S, "IQ3_S", {256, 110}, nullptr},
    {TensorType::kIq1S, "IQ1_S", {256, 50}, nullptr},
    {TensorType::kIq1M, "IQ1_M", {256, 56}, nullptr},
    {TensorType::kIq4Nl, "IQ4_NL", {32, 18}, decode_iq4_nl},
    {TensorType::kIq4Xs, "IQ4_XS", {256, 136}, decode_iq4_xs},
    {TensorType::kTq10, "TQ1_0", {256, 54}, nullptr},
    {TensorType::kTq20, "TQ2_0", {256, 66}, nullptr},
    {TensorType::kMxfp4, "MXFP4", {32, 17}, decode_mxfp4},
    {TensorType::kNvfp4, "NVFP4", {64, 36}, nullptr},
    {TensorType::kQ10, "Q1_0", {128, 18}, nullptr},
};

constexpr bool in_order() {
  for (std::size_t i = 0; i < std::size(kTypes); ++i) {
    if (kTypes[i].type != static_cast<TensorType>(i)) return false;
  }
  return true;
}
static_assert(in_order(), "a type's row stands where its number says");

const TypeRow& row_of(TensorType type) { return kTypes[static_cast<std::size_t>(type)]; }

}  // namespace

std::string_view type_name(TensorType type) { return row_of(type).name; }

std::optional<TensorType> type_named(std::string_view name) {
  const auto* found = std::ranges::find(kTypes, name, &TypeRow::name);
  if (found == std::end(kTypes)) return std::nullopt;
  return found->type;
}

std::string read_types() {
  std::vector<std::string_view> names;
  for (const TypeRow& row : kTypes) {
    if (row.decode != nullptr) names.push_back(row.name);
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

Block block_of(TensorType type) { return row_of(type).block; }

bool is_read(TensorType type) { return row_of(type).decode != nullptr; }

bool is_quantised(TensorType type) { return type >= TensorType::kQ40; }

std::int64_t size_of(const Tensor& tensor) {
  std::int64_t size = 1;
  for (const std::int64_t dimension : tensor.shape) size *= dimension;
  return size;
}

std::optional<std::int64_t> bytes_needed(TensorType type, std::span<const std::int64_t> shape) {
  const Block block = block_of(type);
  std::int64_t numbers = 1;
  for (const std::int64_t dimension : shape) {
    if (dimension < 0 || __builtin_mul_overflow(numbers, dimension, &numbers)) return std::nullopt;
  }
  // Numbers of four or six bits run through rows; ggml's blocks end with each.
  const std::int64_t in_whole_blocks = is_quantised(type) ? (shape.empty() ? 1 : shape.back()) : numbers;
  std::int64_t bytes = 0;
  if (in_whole_blocks % block.numbers != 0 || __builtin_mul_overflow(numbers / block.numbers, block.bytes, &bytes)) {
    return std::nullopt;
  }
  return bytes;
}

void read_floats(const Tensor& tensor, std::int64_t first, std::int64_t count, float* out) {
  const TypeRow& row = row_of(tensor.type);
  if (row.decode == nullptr) {
    throw Error("tensor \"{}\" has type {}, which is not read: convert it to one of {}", tensor.name, row.name,
                read_types());
  }
  const auto [numbers, bytes] = row.block;
  const std::int64_t size = static_cast<std::int64_t>(tensor.bytes.size()) / bytes * numbers;
  if (first < 0 || count < 0 || first > size || count > size - first || first % numbers != 0 || count % numbers != 0) {
    throw Error(
        "tensor \"{}\" of {} numbers: cannot read {} from number {}: ask for whole blocks of {} within the tensor",
        tensor.name, size, count, first, numbers);
  }
  row.decode(tensor.bytes.data() + first / numbers * bytes, count / numbers, out);
}

std::vector<float> read_floats(const Tensor& tensor) {
  std::vector<float> numbers(static_cast<std::size_t>(size_of(tensor)));
  read_floats(tensor, 0, size_of(tensor), numbers.data());
  return numbers;
}

}  // namespace polariscope::checkpoints
