// One plain array of NumPy's format, as numpy.save writes it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope {

struct NpyArray {
  std::vector<std::int64_t> shape;
  std::vector<double> values;  // row-major
};

// bytes: a file's, of format version 1, 2 or 3: float16 to float64, integers of 8 to 64 bits, signed or not, or bool,
// of either byte order; Fortran order is turned round. Integers beyond 2^53 are rounded. `name` stands first in what it
// throws: Error for another kind of array, a malformed header, or numbers that do not fill the shape.
NpyArray npy_array(std::string_view bytes, std::string_view name);

}  // namespace polariscope
