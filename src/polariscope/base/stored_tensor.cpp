#include "polariscope/base/stored_tensor.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

namespace polariscope {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are read and written as the memory holds them");

struct DtypeRow {
  std::string_view name;
  std::size_t bytes;
};

constexpr std::array<DtypeRow, 13> kDtypes = {{{"F64", 8},
                                               {"F32", 4},
                                               {"F16", 2},
                                               {"BF16", 2},
                                               {"I64", 8},
                                               {"I32", 4},
                                               {"I16", 2},
                                               {"I8", 1},
                                               {"U64", 8},
                                               {"U32", 4},
                                               {"U16", 2},
                                               {"U8", 1},
                                               {"BOOL", 1}}};  // in the order of Dtype

const DtypeRow& row_of(Dtype dtype) { return kDtypes[static_cast<std::size_t>(dtype)]; }

// IEEE 754 binary16: sign, 5 bits of exponent, 10 of mantissa.
float half_to_float(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000U) << 16U, exponent = (half >> 10U) & 0x1FU, mantissa = half & 0x3FFU;
  if (exponent == 0) return std::copysign(static_cast<float>(mantissa) * 0x1p-24F, std::bit_cast<float>(sign));
  const std::uint32_t widened = exponent == 0x1FU ? 0xFFU : exponent + (127U - 15U);
  return std::bit_cast<float>(sign | widened << 23U | mantissa << 13U);
}

// The upper half of a float.
float bfloat_to_float(std::uint16_t bfloat) { return std::bit_cast<float>(std::uint32_t{bfloat} << 16U); }

template <class To, class From, class Convert>
std::vector<To> converted(std::span<const std::byte> bytes, const Convert& convert) {
  std::vector<To> numbers(bytes.size() / sizeof(From));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    From number;
    std::memcpy(&number, bytes.data() + i * sizeof number, sizeof number);
    numbers[i] = static_cast<To>(convert(number));
  }
  return numbers;
}

template <class To>
std::vector<To> numbers_of(const StoredTensor& tensor) {
  const auto as_it_is = [](auto number) { return number; };
  switch (tensor.dtype) {
    case Dtype::kF64: return converted<To, double>(tensor.bytes, as_it_is);
    case Dtype::kF32: return converted<To, float>(tensor.bytes, as_it_is);
    case Dtype::kF16: return converted<To, std::uint16_t>(tensor.bytes, half_to_float);
    case Dtype::kBf16: return converted<To, std::uint16_t>(tensor.bytes, bfloat_to_float);
    case Dtype::kI64: return converted<To, std::int64_t>(tensor.bytes, as_it_is);
    case Dtype::kI32: return converted<To, std::int32_t>(tensor.bytes, as_it_is);
    case Dtype::kI16: return converted<To, std::int16_t>(tensor.bytes, as_it_is);
    case Dtype::kI8: return converted<To, std::int8_t>(tensor.bytes, as_it_is);
    case Dtype::kU64: return converted<To, std::uint64_t>(tensor.bytes, as_it_is);
    case Dtype::kU32: return converted<To, std::uint32_t>(tensor.bytes, as_it_is);
    case Dtype::kU16: return converted<To, std::uint16_t>(tensor.bytes, as_it_is);
    case Dtype::kU8: return converted<To, std::uint8_t>(tensor.bytes, as_it_is);
    case Dtype::kBool: return converted<To, std::uint8_t>(tensor.bytes, [](std::uint8_t byte) { return byte != 0; });
  }
  return {};
}

}  // namespace

std::string_view dtype_name(Dtype dtype) { return row_of(dtype).name; }

std::size_t dtype_bytes(Dtype dtype) { return row_of(dtype).bytes; }

std::optional<Dtype> dtype_named(std::string_view name) {
  const auto* found =
      std::find_if(kDtypes.begin(), kDtypes.end(), [&](const DtypeRow& row) { return row.name == name; });
  if (found == kDtypes.end()) return std::nullopt;
  return static_cast<Dtype>(found - kDtypes.begin());
}

std::string known_dtypes() {
  std::string names;
  for (const DtypeRow& row : kDtypes) names += fmt::format("{}{}", names.empty() ? "" : ", ", row.name);
  return names;
}

std::optional<std::size_t> tensor_bytes(Dtype dtype, std::span<const std::int64_t> shape) {
  auto bytes = static_cast<std::int64_t>(dtype_bytes(dtype));
  for (const std::int64_t dimension : shape) {
    if (dimension < 0 || __builtin_mul_overflow(bytes, dimension, &bytes)) return std::nullopt;
  }
  return static_cast<std::size_t>(bytes);
}

std::vector<float> to_floats(const StoredTensor& tensor) { return numbers_of<float>(tensor); }

std::vector<double> to_doubles(const StoredTensor& tensor) { return numbers_of<double>(tensor); }

}  // namespace polariscope
