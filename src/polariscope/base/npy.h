// NumPy's own array format, so that a notebook opens a trajectory in one line: numpy.load(path).
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope {

// One field of a structured array: `values` is [rows, width] row-major.
struct NpyField {
  std::string name;
  std::size_t width = 1;
  std::span<const double> values;
};

// A structured float64 array of `rows` records (format version 1.0): load(path)["loss"] is [rows],
// a field of width w > 1 is [rows, w]. Every field must hold rows * width numbers.
// Throws Error if one does not, or if a name is not plain ASCII.
// Returns the file's bytes; pair with write_file.
std::string npy_records(std::size_t rows, const std::vector<NpyField>& fields);

// One field of a structured array as npy_records() writes it.
struct NpyValues {
  std::size_t rows = 0, width = 1;
  std::vector<double> values;  // [rows, width]
};
// bytes: a file's. Throws Error if they are of another kind of array or have no such field.
NpyValues npy_field(std::string_view bytes, std::string_view name);

}  // namespace polariscope
