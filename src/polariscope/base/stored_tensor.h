// A named array of numbers as bytes: what a file of weights holds, without LibTorch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope {

enum class Dtype { kF64, kF32, kF16, kBf16, kI64, kI32, kI16, kI8, kU64, kU32, kU16, kU8, kBool };

// "F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL": the names of the
// safetensors format.
std::string_view dtype_name(Dtype dtype);
// None for any other name.
std::optional<Dtype> dtype_named(std::string_view name);
// Of one number: 1, 2, 4 or 8.
std::size_t dtype_bytes(Dtype dtype);
// All names, for a refusal.
std::string known_dtypes();

// Row-major, little-endian, not necessarily aligned; the bytes belong to somebody else. No dimensions: one number.
struct StoredTensor {
  std::string name;
  Dtype dtype = Dtype::kF32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
};

// Bytes of a tensor of this shape; none where a dimension is negative or the number does not fit into 63 bits.
std::optional<std::size_t> tensor_bytes(Dtype dtype, std::span<const std::int64_t> shape);

// The numbers, each the nearest of its type: exact but for doubles and integers too large for it. A BOOL is 0 or 1.
std::vector<float> to_floats(const StoredTensor& tensor);
std::vector<double> to_doubles(const StoredTensor& tensor);

}  // namespace polariscope
