// Names typed by a user: looked up, or refused with the nearest known one.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace polariscope {

// The known name with the smallest edit distance (Levenshtein, case ignored), or "" if none is near
// (distance above half of the longer name).
std::string nearest_name(std::string_view name, std::span<const std::string_view> known);

// Sentence for an unknown name: `unknown <kind> "<name>": did you mean "<near>"? (known: a, b, c)`; of a long
// list only the nearest few are named.
std::string unknown_name(std::string_view kind, std::string_view name, std::span<const std::string_view> known);

}  // namespace polariscope
