// A NumPy file: magic, version, header length (2 bytes, from version 2 on 4), a Python dictionary as text, the numbers.
#include "polariscope/base/npy_array.h"

#include "polariscope/base/error.h"
#include "polariscope/base/stored_tensor.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <optional>
#include <regex>
#include <span>
#include <utility>

namespace polariscope {
namespace {

constexpr std::string_view kMagic("\x93NUMPY", 6);
constexpr std::size_t kVersionEnd = 8;
constexpr std::size_t kLongestHeader = 4096;  // of a plain array it is 128
constexpr std::size_t kMostDimensions = 32;   // NumPy's own limit

// After the byte order: '<', '>' or, for single bytes, '|'.
constexpr std::pair<std::string_view, Dtype> kTypes[]{{"f8", Dtype::kF64}, {"f4", Dtype::kF32}, {"f2", Dtype::kF16},
                                                      {"i8", Dtype::kI64}, {"i4", Dtype::kI32}, {"i2", Dtype::kI16},
                                                      {"i1", Dtype::kI8},  {"u8", Dtype::kU64}, {"u4", Dtype::kU32},
                                                      {"u2", Dtype::kU16}, {"u1", Dtype::kU8},  {"b1", Dtype::kBool}};

// The header's text, and where the numbers begin.
std::pair<std::string, std::size_t> header_of(std::string_view bytes, std::string_view name) {
  const auto byte = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(bytes[i])); };
  if (!bytes.starts_with(kMagic) || bytes.size() < kVersionEnd) {
    throw Error("{}: it does not begin as a NumPy file: write it with numpy.save", name);
  }
  const std::size_t version = byte(kMagic.size());
  if (version < 1 || version > 3) throw Error("{}: NumPy format version {}: 1, 2 and 3 are known", name, version);
  const std::size_t length_bytes = version == 1 ? 2 : 4;
  const std::size_t start = kVersionEnd + length_bytes;
  std::size_t length = 0;
  for (std::size_t i = 0; i < length_bytes && start <= bytes.size(); ++i) length |= byte(kVersionEnd + i) << (8 * i);
  if (start > bytes.size() || length > bytes.size() - start) throw Error("{}: it ends inside its header", name);
  if (length > kLongestHeader)
    throw Error("{}: a header of {} bytes: at most {} are read", name, length, kLongestHeader);
  return {std::string(bytes.substr(start, length)), start + length};
}

// What follows 'key': in the dictionary and fits `value`, whose first group is returned.
std::string entry(const std::string& header, const std::string& key, const std::string& value, std::string_view name) {
  std::smatch match;
  if (!std::regex_search(header, match, std::regex("'" + key + "' *: *" + value))) {
    throw Error("{}: its header has no plain '{}': write one array with numpy.save", name, key);
  }
  return match[1];
}

Dtype dtype_of(const std::string& text, std::string_view name) {
  for (const auto& [type, dtype] : kTypes) {
    const bool ordered =
        text.starts_with('<') || text.starts_with('>') || (text.starts_with('|') && dtype_bytes(dtype) == 1);
    if (ordered && std::string_view(text).substr(1) == type) return dtype;
  }
  throw Error("{}: its numbers are of type \"{}\": save it as float32 or float64", name, text);
}

// The bytes of each number in the other order.
std::string swapped(std::string_view data, std::size_t number_bytes) {
  std::string bytes(data);
  for (auto at = bytes.begin(); at < bytes.end(); at += static_cast<std::ptrdiff_t>(number_bytes)) {
    std::reverse(at, at + static_cast<std::ptrdiff_t>(number_bytes));
  }
  return bytes;
}

std::vector<std::int64_t> shape_of(const std::string& text, std::string_view name) {
  std::vector<std::int64_t> shape;
  const char *at = text.data(), *const end = at + text.size();
  while (at != end) {
    if (*at == ' ' || *at == ',') {
      ++at;
      continue;
    }
    std::int64_t size = 0;
    const auto [after, error] = std::from_chars(at, end, size);
    if (error != std::errc() || size < 0 || shape.size() == kMostDimensions) {
      throw Error("{}: its shape ({}) is not a list of whole numbers", name, text);
    }
    shape.push_back(size);
    at = after;
  }
  return shape;
}

// Column-major to row-major: the last index runs fastest in the result.
std::vector<double> turned(const std::vector<double>& values, const std::vector<std::int64_t>& shape) {
  std::vector<double> out;
  out.reserve(values.size());
  std::vector<std::int64_t> index(shape.size(), 0);
  for (std::size_t n = 0; n < values.size(); ++n) {
    std::int64_t place = 0;
    for (std::size_t d = shape.size(); d-- > 0;) place = place * shape[d] + index[d];
    out.push_back(values[static_cast<std::size_t>(place)]);
    for (std::size_t d = shape.size(); d-- > 0 && ++index[d] == shape[d];) index[d] = 0;
  }
  return out;
}

}  // namespace

NpyArray npy_array(std::string_view bytes, std::string_view name) {
  const auto [header, start] = header_of(bytes, name);
  const std::string type = entry(header, "descr", "'([^']*)'", name);
  const Dtype dtype = dtype_of(type, name);
  const bool fortran = entry(header, "fortran_order", "(True|False)", name) == "True";
  NpyArray array{.shape = shape_of(entry(header, "shape", R"(\(([^)]*)\))", name), name), .values = {}};
  const std::string_view data = bytes.substr(start);
  const std::optional<std::size_t> needed = tensor_bytes(dtype, array.shape);
  if (!needed || *needed != data.size()) {
    throw Error("{}: its shape ({}) and type {} do not agree with its {} bytes of numbers", name,
                fmt::join(array.shape, ", "), dtype_name(dtype), data.size());
  }
  const std::string turned_bytes = type.starts_with('>') ? swapped(data, dtype_bytes(dtype)) : "";
  const std::string_view numbers = turned_bytes.empty() ? data : turned_bytes;
  array.values = to_doubles(
      {.name = std::string(name), .dtype = dtype, .shape = array.shape, .bytes = std::as_bytes(std::span(numbers))});
  if (fortran) array.values = turned(array.values, array.shape);
  return array;
}

}  // namespace polariscope
