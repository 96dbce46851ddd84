// NumPy's array format, version 1.0: magic, header length, a Python dictionary as text, the bytes.
#include "polariscope/base/npy.h"

#include "polariscope/base/error.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace polariscope {
namespace {

constexpr std::size_t kPrefixBytes = 10;  // magic (6), version (2), header length (2)
constexpr std::size_t kAlignment = 64;    // the data begin on a multiple of this
constexpr std::size_t kLongestHeader = 65535;

bool is_plain(const std::string& name) {
  return !name.empty() && name.find_first_of("'\\") == std::string::npos &&
         std::all_of(name.begin(), name.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

std::string description(const std::vector<NpyField>& fields, std::size_t rows) {
  constexpr std::string_view kType = std::endian::native == std::endian::little ? "<f8" : ">f8";
  std::string types;
  for (const NpyField& field : fields) {
    const std::string shape = field.width == 1 ? "" : fmt::format(", ({},)", field.width);
    types += fmt::format("('{}', '{}'{}), ", field.name, kType, shape);
  }
  return fmt::format("{{'descr': [{}], 'fortran_order': False, 'shape': ({},), }}", types, rows);
}

void check(std::size_t rows, const NpyField& field) {
  if (!is_plain(field.name)) {
    throw Error("npy: field \"{}\" needs a name of printable ASCII without quotes or backslashes", field.name);
  }
  if (field.width == 0 || field.values.size() != rows * field.width) {
    throw Error("npy: field \"{}\" has {} numbers, expected {} rows of {} (at least 1): give rows * width numbers",
                field.name, field.values.size(), rows, field.width);
  }
}

}  // namespace

std::string npy_records(std::size_t rows, const std::vector<NpyField>& fields) {
  std::size_t record_values = 0;
  for (const NpyField& field : fields) {
    check(rows, field);
    record_values += field.width;
  }
  std::string header = description(fields, rows);
  const std::size_t unpadded = kPrefixBytes + header.size() + 1;
  header.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  header += '\n';
  if (header.size() > kLongestHeader) {
    throw Error("npy: the header of {} fields has {} bytes, the format holds {}: use fewer or shorter names",
                fields.size(), header.size(), kLongestHeader);
  }

  std::string bytes = "\x93NUMPY";
  bytes += '\x01';
  bytes += '\x00';
  bytes += static_cast<char>(header.size() & 0xFF);
  bytes += static_cast<char>(header.size() >> 8);
  bytes += header;

  const std::size_t start = bytes.size();
  bytes.resize(start + rows * record_values * sizeof(double));
  char* out = bytes.data() + start;
  for (std::size_t row = 0; row < rows; ++row) {
    for (const NpyField& field : fields) {
      const std::size_t size = field.width * sizeof(double);
      std::memcpy(out, field.values.data() + row * field.width, size);
      out += size;
    }
  }
  return bytes;
}

}  // namespace polariscope
