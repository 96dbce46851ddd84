// One colour per re-weighting function in every figure of every report; colour-blind safe.
#pragma once

#include <string>
#include <string_view>

namespace polariscope {

// Softmax a strong red, kernels blues, sigmoids greens, signed ones greys, mitigations oranges.
// A name without a fixed colour gets "".
std::string colour_of(std::string_view reweighting);
// Dashes tell normalised from unnormalised: true for names without a normaliser.
bool dashed(std::string_view reweighting);

}  // namespace polariscope
