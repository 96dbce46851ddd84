// Files of the GGUF format, right and wrong ones.
#pragma once

#include "polariscope/checkpoints/tensor.h"

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::testing {

template <class Number>
std::string little_endian(Number number) {
  std::string bytes(sizeof number, '\0');
  std::memcpy(bytes.data(), &number, sizeof number);
  return bytes;
}

inline std::string gguf_text(std::string_view text) {
  return little_endian<std::uint64_t>(text.size()) + std::string(text);
}

// A key, the number of its type in the format, the value's bytes.
inline std::string gguf_entry(std::string_view key, std::uint32_t type, const std::string& value) {
  return gguf_text(key) + little_endian(type) + value;
}

struct GgufTensor {
  std::string name;
  std::vector<std::uint64_t> dimensions;  // innermost first
  std::uint32_t type = 0;                 // ggml's number
  std::uint64_t offset = 0;
};

inline std::string gguf_tensor(const GgufTensor& tensor) {
  std::string bytes = gguf_text(tensor.name) + little_endian(static_cast<std::uint32_t>(tensor.dimensions.size()));
  for (const std::uint64_t dimension : tensor.dimensions) bytes += little_endian(dimension);
  return bytes + little_endian(tensor.type) + little_endian(tensor.offset);
}

// The data begin on a multiple of `alignment`.
inline std::string gguf_file(const std::vector<std::string>& entries, const std::vector<GgufTensor>& tensors,
                             const std::string& data, std::uint32_t version = 3, std::size_t alignment = 32) {
  std::string bytes = "GGUF" + little_endian(version) + little_endian<std::uint64_t>(tensors.size()) +
                      little_endian<std::uint64_t>(entries.size());
  for (const std::string& entry : entries) bytes += entry;
  for (const GgufTensor& tensor : tensors) bytes += gguf_tensor(tensor);
  bytes.append((alignment - bytes.size() % alignment) % alignment, '\0');
  return bytes + data;
}

// Every byte count, alignment and type right: two entries, a Q8_0 matrix [2, 32] and an F32 vector [3].
inline std::string small_gguf() {
  std::string data;
  for (int row = 0; row < 2; ++row) {
    data += little_endian<std::uint16_t>(0x3C00);  // 1 in binary16
    for (int i = 0; i < 32; ++i) data += static_cast<char>(i - 16 + row);
  }
  data.append(96 - data.size(), '\0');
  for (const float number : {1.0F, 2.0F, 3.0F}) data += little_endian(number);
  return gguf_file(
      {gguf_entry("general.architecture", 8, gguf_text("llama")),
       gguf_entry("tokens", 9,
                  little_endian<std::uint32_t>(8) + little_endian<std::uint64_t>(2) + gguf_text("a") + gguf_text("b"))},
      {{"w", {32, 2}, 8, 0}, {"b", {3}, 0, 96}}, data);
}

}  // namespace polariscope::testing
