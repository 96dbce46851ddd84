// The pieces that the charts share: axes, domains, reference lines, hover.
#pragma once

#include "polariscope/report/charts.h"

#include <nlohmann/json.hpp>

#include <cstddef>
#include <limits>
#include <span>
#include <string>

namespace polariscope::report {

constexpr std::size_t kMostPoints = 2000;  // embedded points of one chart
constexpr int kPlotHeight = 300;           // pixels; the width is the page's

// Smallest and largest drawable number seen.
class Range {
 public:
  explicit Range(Scale scale) : scale_(scale) {}
  void add(double number);
  void add(std::span<const double> numbers);
  bool empty() const { return !(low_ <= high_); }
  double low() const { return low_; }
  double high() const { return high_; }
  double smallest() const { return smallest_; }  // magnitude of what is not 0; infinity without any
  Scale scale() const { return scale_; }

 private:
  Scale scale_;
  double low_ = 1.0;
  double high_ = 0.0;
  double smallest_ = std::numeric_limits<double>::infinity();
};

// Schema, size and nothing else.
nlohmann::json chart_frame();

// A position channel {field, type, title, axis, scale}. The domain is that of the full data, so
// thinning cannot move an axis and an empty chart still has one. `tight` ends the axis at the data
// (time) instead of at round numbers.
nlohmann::json position(const std::string& field, const Axis& axis, const Range& range, bool tight);

// A tooltip entry; numbers to six digits.
nlohmann::json tooltip_number(const std::string& field, const std::string& title);
nlohmann::json tooltip_text(const std::string& field, const std::string& title);

// Rules across the plot beneath the layers there are, each with its name above its left end and above them all.
void add_horizontal_references(nlohmann::json& layers, std::span<const ReferenceLine> references, Scale scale);
// Upright rules (at x = y of the reference), each with its name above the plot, close ones stacked.
void add_vertical_references(nlohmann::json& layers, std::span<const ReferenceLine> references, const Range& range);

// A layer of points that stay invisible until the pointer is nearest to one; it carries the tooltip.
nlohmann::json hover_layer(nlohmann::json encoding, nlohmann::json tooltip);

// Names of the hover selection and of the layer that panels() attaches the shared zoom to. They are
// two layers, because Vega-Lite lets a shared selection replace those that a layer has of its own.
inline constexpr const char* kMainLayer = "main";
inline constexpr const char* kHoverParameter = "hover";

// Of such a chart the size is that of a cell, which the page's script fits to what room there is.
inline bool has_square_cells(const nlohmann::json& spec) { return spec.contains("width") && spec["width"].is_object(); }

}  // namespace polariscope::report
