// What a run records at a step: numbers with names.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace polariscope::runs {

struct NamedNumber {
  std::string_view name;
  double value = 0.0;
};

// One number a layer, or one a head: [layers, heads] row-major.
struct NamedNumbers {
  std::string_view name;
  std::span<const double> values;
  std::size_t width = 0;  // numbers of a row (heads); 0: no rows
};

}  // namespace polariscope::runs
