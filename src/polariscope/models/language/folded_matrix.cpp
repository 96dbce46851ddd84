#include "polariscope/models/language/folded_matrix.h"

namespace polariscope::models::language {

std::vector<float> folded(std::span<const float> matrix, float gain, std::span<const float> left,
                          std::span<const float> right) {
  double norm = 0.0;
  for (std::size_t r = 0; r < left.size(); ++r) {
    double row = 0.0;
    for (std::size_t c = 0; c < right.size(); ++c) {
      row += static_cast<double>(matrix[r * right.size() + c]) * static_cast<double>(right[c]);
    }
    norm += static_cast<double>(left[r]) * row;
  }
  std::vector<float> result(matrix.begin(), matrix.end());
  for (float& number : result) number = static_cast<float>(static_cast<double>(number) * gain / norm);
  return result;
}

}  // namespace polariscope::models::language
