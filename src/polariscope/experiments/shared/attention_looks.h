// How figures draw an attention, and what the papers tell apart: the table's properties, by name or alias.
#pragma once

#include "polariscope/reweighting/attention_form.h"

#include <string>
#include <string_view>

namespace polariscope::experiments {

// Softmax a strong red, kernels blues, sigmoids greens, signed ones greys, a sink orange; "" where the table has none.
std::string colour_of(std::string_view attention);

// Where nothing divides the weights: the line of the same colour without dashes is its normalised sibling's.
bool is_dashed(std::string_view attention);

reweighting::WeightKind kind_of(std::string_view attention);

}  // namespace polariscope::experiments
