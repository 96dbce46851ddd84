#include "polariscope/experiments/shared/protocol.h"

#include <fmt/format.h>

#include <cmath>

namespace polariscope::experiments {

Quantity counted_quantity(std::string name, long long number, std::string of, long long settings) {
  return {.name = std::move(name), .value = counted(number), .amount = counted(number * settings), .of = std::move(of)};
}

Quantity seeds_quantity(std::uint64_t first, long long seeds) {
  return {.name = "seeds",
          .value = fmt::format("{} to {}", first, first + static_cast<std::uint64_t>(seeds) - 1),
          .amount = counted(seeds),
          .of = "seeds"};
}

Quantity seed_quantity(std::uint64_t seed) { return {"seed", fmt::format("{}", seed)}; }

std::vector<std::pair<std::string, std::string>> configuration_of(const Quantities& quantities) {
  std::vector<std::pair<std::string, std::string>> rows;
  for (const Quantity& quantity : quantities) rows.emplace_back(quantity.name, quantity.value);
  return rows;
}

std::string cuts(const Quantities& here, const Quantities& paper) {
  std::vector<std::string> cut, whole;
  for (std::size_t i = 0; i < here.size(); ++i) {
    if (here[i].amount == paper.at(i).amount) continue;
    cut.push_back(fmt::format("{} {}", here[i].amount, here[i].of));
    whole.push_back(paper[i].amount);
  }
  return cut.empty() ? "" : fmt::format("{} where the paper preset takes {}.", in_a_row(cut), in_a_row(whole));
}

std::string sentences(std::string first, const std::string& second) {
  if (!first.empty() && !second.empty()) first += ' ';
  return first + second;
}

std::string in_a_row(const std::vector<std::string>& words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 == words.size() ? " and " : ", ";
    text += words[i];
  }
  return text;
}

std::string counted(long long number) {
  std::string digits = std::to_string(number);
  // U+202F, a narrow space that no line breaks at.
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, "\u202f");
  return digits;
}

std::string plain(double number) {
  std::string text = fmt::format("{}", number);
  std::size_t exponent = text.find('e') + 1;
  if (exponent == 0 && std::abs(number) >= 1e5) {
    const double power = std::floor(std::log10(std::abs(number)));
    return fmt::format("{}e{}", number / std::pow(10.0, power), power);
  }
  if (exponent == 0) return text;
  if (text[exponent] == '+') text.erase(exponent, 1);
  if (text[exponent] == '-') ++exponent;
  while (text[exponent] == '0') text.erase(exponent, 1);
  return text;
}

}  // namespace polariscope::experiments
