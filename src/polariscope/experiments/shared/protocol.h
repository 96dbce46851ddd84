// What an experiment is done with, as its report says it. The values that run are the only place of a number: the
// configuration, what the quick preset cuts and the words of the method are made from them here.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace polariscope::experiments {

// One row of the configuration. A value that the quick preset cuts also says what it is a number of: {"seeds",
// "0 to 4", "5", "seeds"}.
struct Quantity {
  std::string name, value;
  std::string amount = "", of = "";  // parts of a sentence, "5" and "seeds"
};
using Quantities = std::vector<Quantity>;

// A row with the number alone: "flows a setting", 16 of "flows" each, in `settings` settings.
Quantity counted_quantity(std::string name, long long number, std::string of, long long settings = 1);
// {"seeds", "3 to 7"}: so many from `first` on.
Quantity seeds_quantity(std::uint64_t first, long long seeds);
Quantity seed_quantity(std::uint64_t seed);  // of random streams

std::vector<std::pair<std::string, std::string>> configuration_of(const Quantities& quantities);

// "6 000 descents and 48 flows where the paper preset takes 150 000 and 600."; "" where nothing differs. The two have
// the same rows; one that differs has an amount in both.
std::string cuts(const Quantities& here, const Quantities& paper);

// Sentences, each ending in a point, with a space between; "" is none.
std::string sentences(std::string first, const std::string& second);

// --- numbers as a person writes them ----------------------------------------------------------------

std::string counted(long long number);  // "1 234 567"
std::string plain(double number);       // "0.1", "1", "1e-5", "1e5", "1e299"

// "a", "a and b", "a, b and c".
std::string in_a_row(const std::vector<std::string>& words);

// "2, 4, 8", and "{2, 4, 8}" of a set.
template <class Range>
std::string listed(const Range& values) {
  std::string text;
  for (const auto& value : values) {
    if (!text.empty()) text += ", ";
    if constexpr (std::is_floating_point_v<std::decay_t<decltype(value)>>) {
      text += plain(value);
    } else {
      text += fmt::format("{}", value);
    }
  }
  return text;
}
template <class Range>
std::string set_of(const Range& values) {
  return "{" + listed(values) + "}";
}

}  // namespace polariscope::experiments
