// One colour per re-weighting function in every figure of every report; colour-blind safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::report {

// Softmax a strong red, kernels blues, sigmoids greens, signed ones greys, mitigations oranges.
// A name without a fixed colour gets "".
std::string colour_of(std::string_view reweighting);
// Dashes tell normalised from unnormalised: true for names without a normaliser.
bool dashed(std::string_view reweighting);

// For series that are no re-weighting function: the i-th of eight colours, then again from the first.
std::string palette_colour(std::size_t index);

// `count` colours, evenly spaced to the eye, from violet (first) to olive (last). Every one of them
// stands out on white and on black paper, so a figure needs no second set for the dark page.
std::vector<std::string> sequential_colours(std::size_t count);

}  // namespace polariscope::report
