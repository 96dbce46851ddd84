#include "polariscope/report/colours.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <utility>

namespace polariscope::report {
namespace {

struct Assignment {
  std::string_view name;
  std::string_view colour;
  bool dashed;
};

// A normalised function and its unnormalised sibling share the hue: the dash tells them apart.
// The even powers (abs, square) are neither kernels nor signed and have violets of their own.
constexpr std::array kAssignments = {
    Assignment{"softmax", "#d7263d", false},
    Assignment{"sigmoid", "#2a9055", true},
    Assignment{"sigmoid/sum", "#2a9055", false},
    Assignment{"relu", "#2f74d0", true},
    Assignment{"relu/sum", "#2f74d0", false},
    Assignment{"relu_kernel/sum", "#2f74d0", false},
    Assignment{"elu1", "#2b94b8", true},
    Assignment{"elu1/sum", "#2b94b8", false},
    Assignment{"elu1_kernel", "#5b6fd6", true},
    Assignment{"elu1_kernel/sum", "#5b6fd6", false},
    Assignment{"mlp", "#7f7466", true},
    Assignment{"mlp/max1", "#7f7466", false},
    Assignment{"identity", "#85858c", true},
    Assignment{"identity/sum", "#85858c", false},
    Assignment{"identity/max1", "#6c7480", false},
    Assignment{"abs/sum", "#a04fc4", false},
    Assignment{"square/sum", "#c0559f", false},
    Assignment{"uniform", "#8c7455", false},
    Assignment{"softmax1", "#cf7413", false},
};

constexpr std::array<std::string_view, 8> kPalette = {"#2f74d0", "#cf7413", "#2a9055", "#a04fc4",
                                                      "#d7263d", "#2b94b8", "#8c7455", "#c0559f"};

const Assignment* find(std::string_view name) {
  const auto* found = std::ranges::find(kAssignments, name, &Assignment::name);
  return found == kAssignments.end() ? nullptr : found;
}

int to_byte(double linear) {
  const double clipped = std::clamp(linear, 0.0, 1.0);
  const double encoded = clipped <= 0.0031308 ? 12.92 * clipped : 1.055 * std::pow(clipped, 1 / 2.4) - 0.055;
  return static_cast<int>(std::lround(255 * encoded));
}

// OKLCH -> sRGB (Björn Ottosson's Oklab, 2020): equal steps of its coordinates look equal.
std::string from_oklch(double lightness, double chroma, double hue_degrees) {
  const double hue = hue_degrees * std::numbers::pi / 180;
  const double a = chroma * std::cos(hue);
  const double b = chroma * std::sin(hue);
  const double l = std::pow(lightness + 0.3963377774 * a + 0.2158037573 * b, 3);
  const double m = std::pow(lightness - 0.1055613458 * a - 0.0638541728 * b, 3);
  const double s = std::pow(lightness - 0.0894841775 * a - 1.2914855480 * b, 3);
  return fmt::format("#{:02x}{:02x}{:02x}", to_byte(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
                     to_byte(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
                     to_byte(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s));
}

}  // namespace

std::string colour_of(std::string_view reweighting) {
  const Assignment* assignment = find(reweighting);
  return std::string(assignment == nullptr ? std::string_view() : assignment->colour);
}

bool dashed(std::string_view reweighting) {
  const Assignment* assignment = find(reweighting);
  return assignment != nullptr && assignment->dashed;
}

std::string palette_colour(std::size_t index) { return std::string(kPalette[index % kPalette.size()]); }

std::vector<std::string> sequential_colours(std::size_t count) {
  // The lightness stays where both papers give a contrast of about 3; hue carries most of the order.
  constexpr double kLightness[] = {0.55, 0.66};
  constexpr double kChroma[] = {0.20, 0.13};
  constexpr double kHue[] = {305, 110};
  std::vector<std::string> colours;
  for (std::size_t i = 0; i < count; ++i) {
    const double t = count > 1 ? static_cast<double>(i) / static_cast<double>(count - 1) : 0.0;
    colours.push_back(from_oklch(std::lerp(kLightness[0], kLightness[1], t), std::lerp(kChroma[0], kChroma[1], t),
                                 std::lerp(kHue[0], kHue[1], t)));
  }
  return colours;
}

}  // namespace polariscope::report
