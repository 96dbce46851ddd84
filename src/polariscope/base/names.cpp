// Names typed by a user: edit distance to the known ones.
#include "polariscope/base/names.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace polariscope {
namespace {

// A sentence has room for the names of a short list; of a longer one it shows the nearest.
constexpr std::size_t kAllShown = 15;
constexpr std::size_t kNearShown = 5;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Levenshtein's distance by rows of the table d(i, j), of which only the current one is kept.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (lower(a[i]) == lower(b[j]) ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string nearest_name(std::string_view name, std::span<const std::string_view> known) {
  std::string_view nearest;
  std::size_t smallest = std::string_view::npos;
  for (const std::string_view candidate : known) {
    const std::size_t distance = edit_distance(name, candidate);
    if (2 * distance <= std::max(name.size(), candidate.size()) && distance < smallest) {
      smallest = distance;
      nearest = candidate;
    }
  }
  return std::string(nearest);
}

std::string unknown_name(std::string_view kind, std::string_view name, std::span<const std::string_view> known) {
  const std::string nearest = nearest_name(name, known);
  const std::string hint = nearest.empty() ? "" : fmt::format(": did you mean \"{}\"?", nearest);
  if (known.size() <= kAllShown) {
    return fmt::format("unknown {} \"{}\"{} (known: {})", kind, name, hint, fmt::join(known, ", "));
  }
  std::vector<std::string_view> near(known.begin(), known.end());
  std::stable_sort(near.begin(), near.end(), [name](std::string_view a, std::string_view b) {
    return edit_distance(name, a) < edit_distance(name, b);
  });
  near.resize(kNearShown);
  return fmt::format("unknown {} \"{}\"{} (nearest of {} known: {})", kind, name, hint, known.size(),
                     fmt::join(near, ", "));
}

}  // namespace polariscope
