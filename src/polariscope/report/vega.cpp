#include "polariscope/report/internal/vega.h"

#include "polariscope/report/internal/numbers.h"
#include "polariscope/report/internal/thin.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace polariscope::report {
namespace {

// "10²⁹⁹" in Vega's expression language, which has no loop: one replacement per digit.
std::string superscript(const std::string& integer) {
  static const char* const kDigits[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  std::string text = fmt::format("replace('' + {}, '-', '⁻')", integer);
  for (int digit = 0; digit < 10; ++digit) text = fmt::format("replace({}, /{}/g, '{}')", text, digit, kDigits[digit]);
  return text;
}

// log10 of a tick, and whether it is a whole number: both stay exact enough up to 1e308.
const char* const kExponent = "log(abs(datum.value)) / LN10";
std::string is_power() { return fmt::format("abs({0} - round({0})) < 1e-6", kExponent); }

std::string power_label() {
  const std::string exponent = fmt::format("round({})", kExponent);
  return fmt::format(
      "datum.value == 0 ? '0' : !({}) ? '' : (datum.value < 0 ? '−' : '') + "
      "({} == 0 ? '1' : {} == 1 ? '10' : '10' + {})",
      is_power(), exponent, exponent, superscript(exponent));
}

// Under this many decades powers of ten are too few to read a value from.
constexpr double kFewDecades = 1.5;

double power_below(double positive) { return std::max(1e-307, std::pow(10.0, std::floor(std::log10(positive)))); }
double power_above(double positive) { return std::min(1e308, std::pow(10.0, std::ceil(std::log10(positive)))); }

struct Ends {
  double low, high;
};

Ends log_ends(const Range& range, bool tight) {
  if (range.empty()) return {1.0, 10.0};
  double low = range.low();
  double high = range.high();
  if (!(high > low)) return {std::max(low / 2, 1e-308), std::min(high * 2, 1e308)};
  const bool few = std::log10(high) - std::log10(low) < kFewDecades;
  if (!tight && !few) {
    low = power_below(low);
    high = power_above(high);
  }
  return {low, high};
}

Ends linear_ends(const Range& range) {
  if (range.empty()) return {0.0, 1.0};
  if (range.high() > range.low()) return {range.low(), range.high()};
  const double margin = range.low() == 0 ? 1.0 : 0.1 * std::abs(range.low());
  return {range.low() - margin, range.high() + margin};
}

// Powers of ten on both sides of zero, at most about ten of them.
nlohmann::json symlog_ticks(const Ends& ends, double constant) {
  auto ticks = nlohmann::json::array({0.0});
  const double largest = std::max(std::abs(ends.low), std::abs(ends.high));
  const int first = static_cast<int>(std::ceil(std::log10(constant)));
  const int last = static_cast<int>(std::floor(std::log10(std::max(largest, constant))));
  const int step = std::max(1, (last - first) / 4);
  for (int exponent = last; exponent >= first; exponent -= step) {
    const double tick = std::pow(10.0, exponent);
    if (tick <= ends.high) ticks.push_back(tick);
    if (-tick >= ends.low) ticks.push_back(-tick);
  }
  return ticks;
}

nlohmann::json axis_of(const Axis& axis, const Ends& ends) {
  nlohmann::json drawn = {{"title", axis.title}};
  if (axis.whole) {
    drawn["tickMinStep"] = 1;
    drawn["format"] = "d";
  }
  if (axis.scale == Scale::kLinear) {
    drawn["tickCount"] = 6;
    return drawn;
  }
  const bool few = axis.scale == Scale::kLog && std::log10(ends.high) - std::log10(ends.low) < kFewDecades;
  drawn["tickCount"] = 6;
  drawn["labelOverlap"] = "greedy";
  if (few) {
    drawn["format"] = "~g";
    return drawn;
  }
  drawn["labelExpr"] = power_label();
  if (axis.scale == Scale::kLog) {
    // Minor ticks off: they keep their place, so that zooming needs no new specification.
    const nlohmann::json only_powers = {{"condition", {{"test", is_power()}, {"value", 1}}}, {"value", 0}};
    drawn["tickOpacity"] = only_powers;
    drawn["gridOpacity"] = only_powers;
  }
  return drawn;
}

nlohmann::json reference_row(const ReferenceLine& reference) {
  return {{"at", plotted(reference.y)}, {"name", reference.name}};
}

nlohmann::json reference_rules(const nlohmann::json& rows, const std::string& channel) {
  const nlohmann::json at = {{"field", "at"}, {"type", "quantitative"}};
  const auto tooltip = nlohmann::json::array({tooltip_text("name", "reference"), tooltip_number("at", "at")});
  return {{"data", {{"values", rows}}},
          {"mark", {{"type", "rule"}, {"style", "reference"}, {"strokeDash", {2, 3}}, {"clip", true}}},
          {"encoding", {{channel, at}, {"tooltip", tooltip}}}};
}

nlohmann::json reference_label(const nlohmann::json& rows, nlohmann::json x, nlohmann::json y, const char* align,
                               int dx, int dy, const char* style = "reference-label") {
  return {{"data", {{"values", rows}}},
          {"mark",
           {{"type", "text"},
            {"style", style},
            {"align", align},
            {"baseline", "bottom"},
            {"dx", dx},
            {"dy", dy},
            {"clip", false}}},
          {"encoding", {{"x", std::move(x)}, {"y", std::move(y)}, {"text", {{"field", "name"}, {"type", "nominal"}}}}}};
}

}  // namespace

void Range::add(double number) {
  if (!drawable(number, scale_)) return;
  const bool first = empty();
  low_ = first ? number : std::min(low_, number);
  high_ = first ? number : std::max(high_, number);
  if (number != 0.0) smallest_ = std::min(smallest_, std::abs(number));
}

void Range::add(std::span<const double> numbers) {
  for (const double number : numbers) add(number);
}

nlohmann::json chart_frame() {
  return {
      {"$schema", "https://vega.github.io/schema/vega-lite/v6.json"}, {"width", "container"}, {"height", kPlotHeight}};
}

nlohmann::json position(const std::string& field, const Axis& axis, const Range& range, bool tight) {
  nlohmann::json channel = {{"field", field}, {"type", "quantitative"}, {"title", axis.title}};
  const Ends ends = axis.scale == Scale::kLog ? log_ends(range, tight) : linear_ends(range);
  nlohmann::json scale = {{"domain", {ends.low, ends.high}}};
  if (axis.scale == Scale::kLinear) scale["zero"] = false;
  // Rounding 1.1e308 up to a round number gives infinity; log_ends has rounded already.
  scale["nice"] = axis.scale == Scale::kLinear && !tight;
  if (axis.scale == Scale::kLog) scale["type"] = "log";
  channel["axis"] = axis_of(axis, ends);
  if (axis.scale == Scale::kSymlog) {
    // Below its constant a symmetric logarithm is linear: no larger than the smallest number, six decades at most.
    const double largest = std::max({std::abs(ends.low), std::abs(ends.high), 1e-290});
    const double constant = power_below(std::clamp(range.smallest(), 1e-6 * largest, largest));
    scale["type"] = "symlog";
    scale["constant"] = constant;
    channel["axis"]["values"] = symlog_ticks(ends, constant);
  }
  channel["scale"] = scale;
  return channel;
}

nlohmann::json tooltip_number(const std::string& field, const std::string& title) {
  return {{"field", field}, {"type", "quantitative"}, {"title", title}, {"format", ".6~g"}};
}

nlohmann::json tooltip_text(const std::string& field, const std::string& title) {
  return {{"field", field}, {"type", "nominal"}, {"title", title}};
}

void add_horizontal_references(nlohmann::json& layers, std::span<const ReferenceLine> references, Scale scale) {
  auto rows = nlohmann::json::array();
  for (const ReferenceLine& reference : references) {
    if (drawable(reference.y, scale)) rows.push_back(reference_row(reference));
  }
  if (rows.empty()) return;
  layers.insert(layers.begin(), reference_rules(rows, "y"));
  for (const char* style : {"reference-halo", "reference-label"}) {
    layers.push_back(
        reference_label(rows, {{"value", 0}}, {{"field", "at"}, {"type", "quantitative"}}, "left", 4, -2, style));
  }
}

void add_vertical_references(nlohmann::json& layers, std::span<const ReferenceLine> references, const Range& range) {
  std::vector<ReferenceLine> sorted;
  for (const ReferenceLine& reference : references) {
    if (drawable(reference.y, range.scale())) sorted.push_back(reference);
  }
  if (sorted.empty()) return;
  std::ranges::sort(sorted, {}, &ReferenceLine::y);
  const bool log = range.scale() == Scale::kLog;
  const auto place = [log](double x) { return log ? std::log(x) : x; };
  const double width = std::max(place(range.high()) - place(range.low()), 1e-300);

  auto rows = nlohmann::json::array();
  for (const ReferenceLine& reference : sorted) rows.push_back(reference_row(reference));
  layers.push_back(reference_rules(rows, "x"));
  constexpr double kClose = 0.3;  // of the axis: two names this near may touch
  constexpr int kLine = 14;       // pixels from one name to the one stacked above it
  double before = -1;
  int level = 0;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    const double share = (place(sorted[i].y) - place(range.low())) / width;
    level = i > 0 && share - before < kClose ? level + 1 : 0;
    before = share;
    // A name in the right half ends at its rule, so that it stays within the figure.
    layers.push_back(reference_label(nlohmann::json::array({rows[i]}), {{"field", "at"}, {"type", "quantitative"}},
                                     {{"value", 0}}, share > 0.5 ? "right" : "left", share > 0.5 ? 2 : -2,
                                     -2 - kLine * level));
  }
}

nlohmann::json hover_layer(nlohmann::json encoding, nlohmann::json tooltip) {
  encoding["tooltip"] = std::move(tooltip);
  encoding["opacity"] = {{"condition", {{"param", kHoverParameter}, {"empty", false}, {"value", 1}}}, {"value", 0}};
  return {{"mark", {{"type", "point"}, {"filled", true}, {"size", 60}, {"clip", true}}},
          {"params",
           {{{"name", kHoverParameter},
             {"select", {{"type", "point"}, {"on", "pointerover"}, {"clear", "pointerout"}, {"nearest", true}}}}}},
          {"encoding", std::move(encoding)}};
}

}  // namespace polariscope::report
