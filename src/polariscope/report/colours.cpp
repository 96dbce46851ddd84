#include "polariscope/report/colours.h"

#include "polariscope/base/error.h"
#include "polariscope/base/names.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

namespace polariscope::report {
namespace {

struct Named {
  std::string_view name, colour;
};

// Chosen together, so that none is taken for another: a hue for each weight function, greys for signed ones.
constexpr std::array kNamed{Named{"blue", "#2f74d0"},   Named{"orange", "#cf7413"}, Named{"green", "#2a9055"},
                            Named{"violet", "#a04fc4"}, Named{"red", "#d7263d"},    Named{"cyan", "#2b94b8"},
                            Named{"brown", "#8c7455"},  Named{"pink", "#c0559f"},   Named{"indigo", "#5b6fd6"},
                            Named{"taupe", "#7f7466"},  Named{"grey", "#85858c"},   Named{"slate", "#6c7480"}};
constexpr std::size_t kPalette = 8;  // the first, for series without a colour of their own

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

std::string named_colour(std::string_view name) {
  std::vector<std::string_view> known;
  for (const Named& named : kNamed) {
    if (named.name == name) return std::string(named.colour);
    known.push_back(named.name);
  }
  throw Error("{}", unknown_name("colour", name, known));
}

std::string palette_colour(std::size_t index) { return std::string(kNamed[index % kPalette].colour); }

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
