// The colours of every figure of every report; colour-blind safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::report {

// "red", "blue", ... as Vega reads it; each stands out on white and on black paper. Throws Error for a name that there
// is none of.
std::string named_colour(std::string_view name);

// For series without a colour of their own: the i-th of eight, then again from the first.
std::string palette_colour(std::size_t index);

// `count` colours, evenly spaced to the eye, from violet (first) to olive (last). Every one of them
// stands out on white and on black paper, so a figure needs no second set for the dark page.
std::vector<std::string> sequential_colours(std::size_t count);

}  // namespace polariscope::report
