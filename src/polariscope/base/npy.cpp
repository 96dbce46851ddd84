// NumPy's array format, version 1.0: magic, header length, a Python dictionary as text, the bytes.
#include "polariscope/base/npy.h"

#include "polariscope/base/error.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <optional>

namespace polariscope {
namespace {

constexpr std::string_view kMagic("\x93NUMPY\x01\x00", 8);
constexpr std::size_t kPrefixBytes = 10;  // magic (6), version (2), header length (2)
constexpr std::size_t kAlignment = 64;    // the data begin on a multiple of this
constexpr std::size_t kLongestHeader = 65535;
constexpr std::string_view kType = std::endian::native == std::endian::little ? "<f8" : ">f8";

bool is_plain(const std::string& name) {
  return !name.empty() && name.find_first_of("'\\") == std::string::npos &&
         std::all_of(name.begin(), name.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

std::string description(const std::vector<NpyField>& fields, std::size_t rows) {
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

// Takes `expected` off the front of `text`; false where something else is there.
bool take(std::string_view& text, std::string_view expected) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(expected.size());
  return true;
}

// "17,)", the end of a shape of one dimension, off the front of `text`.
std::optional<std::size_t> take_dimension(std::string_view& text) {
  std::size_t number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return take(text, ",)") ? std::optional(number) : std::nullopt;
}

struct StoredField {
  std::string_view name;
  std::size_t width;
};

// All that are described as description() does.
std::vector<StoredField> stored_fields(std::string_view header) {
  std::vector<StoredField> fields;
  for (std::size_t at = header.find("('"); at != std::string_view::npos; at = header.find("('", at + 1)) {
    std::string_view text = header.substr(at + 2);
    const std::size_t quote = std::min(text.find('\''), text.size());
    StoredField field{text.substr(0, quote), 1};
    text.remove_prefix(quote);
    if (!take(text, "', '") || !take(text, kType) || !take(text, "'")) continue;
    if (take(text, ", (")) {
      const auto width = take_dimension(text);
      if (!width) continue;
      field.width = *width;
    }
    if (take(text, ")")) fields.push_back(field);
  }
  return fields;
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

  std::string bytes(kMagic);
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

NpyValues npy_field(std::string_view bytes, std::string_view name) {
  const auto byte = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(bytes[i])); };
  const bool ours = bytes.size() > kPrefixBytes && bytes.starts_with(kMagic);
  const std::size_t start = ours ? kPrefixBytes + byte(kPrefixBytes - 2) + 256 * byte(kPrefixBytes - 1) : 0;
  if (!ours || bytes.size() < start) throw Error("npy: this is no file of the format, version 1.0");
  const std::string_view header = bytes.substr(kPrefixBytes, start - kPrefixBytes);
  constexpr std::string_view kShape = "'shape': (";
  const std::size_t shape = header.find(kShape);
  std::string_view dimension = header.substr(shape == std::string_view::npos ? header.size() : shape + kShape.size());
  const auto rows = take_dimension(dimension);
  if (!rows) throw Error("npy: expected one row of records, found {}", header);

  NpyValues found{.rows = *rows, .width = 0, .values = {}};
  std::size_t before = 0, record = 0, size = 0;
  bool fits = true;
  for (const StoredField& field : stored_fields(header)) {
    if (field.name == name) {
      found.width = field.width;
      before = record;
    }
    fits = fits && !__builtin_add_overflow(record, field.width, &record);
  }
  if (found.width == 0) throw Error("npy: there is no field \"{}\" in {}", name, header);
  fits = fits && !__builtin_mul_overflow(record, sizeof(double), &size) &&
         !__builtin_mul_overflow(size, found.rows, &size);
  if (!fits || bytes.size() - start != size) {
    throw Error("npy: the numbers are not as many as the header says: the file is cut short or damaged");
  }
  found.values.resize(found.rows * found.width);
  for (std::size_t row = 0; row < found.rows; ++row) {
    std::memcpy(found.values.data() + row * found.width,
                bytes.data() + start + (row * record + before) * sizeof(double), found.width * sizeof(double));
  }
  return found;
}

}  // namespace polariscope
