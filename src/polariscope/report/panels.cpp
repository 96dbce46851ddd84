// Small multiples. A concatenation has no "container" width: the numbers here are for the
// specification on its own, the page's script sets the width of each panel to what there is.
#include "polariscope/base/error.h"
#include "polariscope/report/charts.h"
#include "polariscope/report/internal/vega.h"

#include <fmt/format.h>

namespace polariscope::report {
namespace {

using namespace report;
using nlohmann::json;

constexpr int kPanelWidth = 260;
constexpr int kPanelHeight = 200;

// Selections and layers are named per chart; side by side, each needs a name of its own.
void number_names(json& node, const std::string& suffix) {
  if (node.is_array()) {
    for (json& child : node) number_names(child, suffix);
  } else if (node.is_object()) {
    for (auto& [key, child] : node.items()) {
      const bool names = (key == "name" || key == "param") && child.is_string();
      if (names && (child == kHoverParameter || child == kMainLayer)) {
        child = child.get<std::string>() + suffix;
      } else if (key != "data") {
        number_names(child, suffix);
      }
    }
  }
}

// A zoom moves marks out of the plot, where they must not be seen.
void clip_points(json& chart) {
  for (json& layer : chart.at("layer")) {
    if (layer.at("mark").at("type") == "point") layer["mark"]["clip"] = true;
  }
}

// The scale of a colour channel somewhere in the chart, null where there is none.
json colour_scale(const json& spec) {
  if (!spec.contains("layer")) return nullptr;
  for (const json& layer : spec.at("layer")) {
    const json::json_pointer scale("/encoding/color/scale");
    if (layer.contains(scale)) return layer.at(scale);
  }
  return nullptr;
}

// Whether all panels say the same by their colours.
bool same_colours(std::span<const Panel> panels) {
  const json first = colour_scale(panels.front().spec);
  if (first.is_null()) return false;
  for (const Panel& panel : panels) {
    if (colour_scale(panel.spec) != first) return false;
  }
  return true;
}

}  // namespace

json panels(std::span<const Panel> panels, int columns, bool share_x) {
  if (panels.empty()) throw Error("panels: expected at least one panel, found none");
  if (columns < 1) throw Error("panels: {} columns: must be at least 1", columns);
  auto charts = json::array();
  auto views = json::array();
  for (std::size_t i = 0; i < panels.size(); ++i) {
    json chart = panels[i].spec;
    const std::string suffix = fmt::format("_{}", i);
    number_names(chart, suffix);
    if (share_x) clip_points(chart);
    chart.erase("$schema");
    if (!has_square_cells(chart)) {
      chart["width"] = kPanelWidth;
      chart["height"] = kPanelHeight;
    }
    chart["title"] = {{"text", panels[i].title}, {"anchor", "start"}};
    charts.push_back(std::move(chart));
    views.push_back(kMainLayer + suffix);
  }
  json spec = chart_frame();
  spec.erase("width");
  spec.erase("height");
  spec["columns"] = columns;
  spec["concat"] = std::move(charts);
  // Vega-Lite would share looks in any case: the first of eight tokens is then not the colour of the first of two.
  const char* const looks = same_colours(panels) ? "shared" : "independent";
  spec["resolve"] = {{"scale", {{"color", looks}, {"shape", looks}, {"strokeDash", looks}}}};
  if (share_x) {
    // Plain scrolling stays the page's: only a wheel with Ctrl or Shift zooms.
    spec["params"] = json::array({{{"name", "shared_x"},
                                   {"select",
                                    {{"type", "interval"},
                                     {"encodings", json::array({"x"})},
                                     {"zoom", "wheel![event.ctrlKey || event.shiftKey]"}}},
                                   {"bind", "scales"},
                                   {"views", std::move(views)}}});
    spec["usermeta"] = {{"polariscope",
                         {{"hint",
                           "Drag to move along time in all panels, Ctrl + wheel to zoom, "
                           "double-click to return."}}}};
  }
  return spec;
}

}  // namespace polariscope::report
