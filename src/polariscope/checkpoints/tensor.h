// A tensor of a checkpoint as it lies in its file, and its numbers as floats.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::checkpoints {

// Every type that the safetensors format (0.8.0) and GGUF (ggml) name. Those that are read are decoded by read_floats;
// the others have their size here, so that a file which holds some is checked and its other tensors serve.
enum class TensorType {
  // safetensors, of which GGUF has some
  kBool,
  kF4,
  kF6E2M3,
  kF6E3M2,
  kU8,
  kI8,
  kF8E5M2,
  kF8E4M3,
  kF8E8M0,
  kF8E4M3Fnuz,
  kF8E5M2Fnuz,
  kI16,
  kU16,
  kF16,
  kBf16,
  kI32,
  kU32,
  kF32,
  kC64,
  kF64,
  kI64,
  kU64,
  // ggml's blocks
  kQ40,
  kQ41,
  kQ50,
  kQ51,
  kQ80,
  kQ81,
  kQ2K,
  kQ3K,
  kQ4K,
  kQ5K,
  kQ6K,
  kQ8K,
  kIq2Xxs,
  kIq2Xs,
  kIq2S,
  kIq3Xxs,
  kIq3S,
  kIq1S,
  kIq1M,
  kIq4Nl,
  kIq4Xs,
  kTq10,
  kTq20,
  kMxfp4,
  kNvfp4,
  kQ10,
};

// "BF16", "Q4_K": as the format writes it.
std::string_view type_name(TensorType type);
// None for any other name.
std::optional<TensorType> type_named(std::string_view name);
// All names, those that are read and those that are not, for a refusal.
std::string read_types();

// Numbers are stored in blocks of `numbers` that take `bytes` together; of plain types a block is one number.
struct Block {
  std::int64_t numbers = 1;
  std::int64_t bytes = 1;
};
Block block_of(TensorType type);
// Whether read_floats decodes it.
bool is_read(TensorType type);
// Whether a block is more than one number with a scale of its own.
bool is_quantised(TensorType type);

// Row-major, little-endian, not necessarily aligned; the bytes belong to the checkpoint. No dimensions: one number.
// Rows of a quantised tensor are whole blocks.
struct Tensor {
  std::string name;
  TensorType type = TensorType::kF32;
  std::vector<std::int64_t> shape;  // outermost first
  std::span<const std::byte> bytes;
};

// Of numbers; 1 where there are no dimensions.
std::int64_t size_of(const Tensor& tensor);

// Bytes of a tensor of this shape; none where a dimension is negative, rows are no whole blocks or the size does not
// fit into 63 bits.
std::optional<std::int64_t> bytes_needed(TensorType type, std::span<const std::int64_t> shape);

// Writes numbers [first, first + count) in row-major order to out, each the nearest float: exact but for F64 and large
// integers. Safe to call at once from many threads. first and count must be multiples of the block's numbers and within
// the tensor; throws Error where they are not, or for a type that is not read.
void read_floats(const Tensor& tensor, std::int64_t first, std::int64_t count, float* out);
// All of them.
std::vector<float> read_floats(const Tensor& tensor);

}  // namespace polariscope::checkpoints
