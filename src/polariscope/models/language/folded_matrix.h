// What σReparam (sigma_reparam.h) keeps beside a matrix in a checkpoint, and the plain matrix that it stands for.
#pragma once

#include <span>
#include <string_view>
#include <vector>

namespace polariscope::models::language {

// The matrix's name with these at its end: γ, [1], u, [outputs], and v, [inputs].
inline constexpr std::string_view kGain = ".gain", kLeft = ".left", kRight = ".right";

// (γ / σ) W, σ = uᵀ W v. matrix: row-major, [left.size(), right.size()].
std::vector<float> folded(std::span<const float> matrix, float gain, std::span<const float> left,
                          std::span<const float> right);

}  // namespace polariscope::models::language
