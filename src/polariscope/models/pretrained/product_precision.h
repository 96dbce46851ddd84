// What products of single-precision rows are computed in.
#pragma once

namespace polariscope::models {

enum class ProductPrecision {
  kFloat32,
  kBfloat16,  // factors are rounded to it, sums are float32; everything between products is float32
};

// Whether this processor multiplies bfloat16 as such.
bool has_bfloat16_products();

}  // namespace polariscope::models
