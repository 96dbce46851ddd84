#include "polariscope/live/internal/curves_json.h"

#include "polariscope/live/internal/json_text.h"

#include <algorithm>
#include <charconv>

namespace polariscope::live {
namespace {

using Curves = std::vector<const StepHistory::Curve*>;

// "2" -> 2; 0 for anything else.
std::size_t layer_in(std::string_view text) {
  std::size_t layer = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), layer);
  return failure == std::errc() && end == text.data() + text.size() ? layer : 0;
}

Curves pointers_to(const std::vector<StepHistory::Curve>& all) {
  Curves curves;
  for (const StepHistory::Curve& one : all) curves.push_back(&one);
  return curves;
}

Curves curves_of(const StepHistory& history, const std::string& column) {
  if (const auto number = history.numbers().find(column); number != history.numbers().end()) {
    return {&number->second};
  }
  const std::size_t colon = column.find(':');
  const auto found = history.heads().find(column.substr(0, colon));
  if (found == history.heads().end()) return {};
  if (colon == std::string::npos) return pointers_to(found->second.layers);
  const std::size_t layer = layer_in(std::string_view(column).substr(colon + 1));
  if (layer < 1 || layer > found->second.heads.size()) return {};
  return pointers_to(found->second.heads[layer - 1]);
}

void put_curve(fmt::memory_buffer& out, const StepHistory::Curve& curve, std::size_t from) {
  const auto list = [&](float StepHistory::Cell::*part) {
    put_list(out, curve, from, [&](const StepHistory::Cell& cell) { put_number(out, cell.*part); });
  };
  put(out, "{\"mean\":");
  list(&StepHistory::Cell::mean);
  const bool spread = std::any_of(curve.begin() + static_cast<std::ptrdiff_t>(from), curve.end(),
                                  [](const StepHistory::Cell& cell) { return cell.finite > 1; });
  if (spread) {
    put(out, ",\"low\":");
    list(&StepHistory::Cell::low);
    put(out, ",\"high\":");
    list(&StepHistory::Cell::high);
  }
  out.push_back('}');
}

void put_head_counts(fmt::memory_buffer& out, const StepHistory::HeadCurves& curves) {
  put_list(out, curves.heads, 0, [&](const auto& layer) { fmt::format_to(fmt::appender(out), "{}", layer.size()); });
}

void put_names(fmt::memory_buffer& out, const StepHistory& history) {
  put(out, "\"numbers\":[");
  std::string_view comma;
  for (const auto& [name, curve] : history.numbers()) {
    put(out, comma);
    put(out, json_string(name));
    comma = ",";
  }
  put(out, "],\"heads\":{");
  comma = "";
  for (const auto& [name, curves] : history.heads()) {
    put(out, comma);
    put(out, json_string(name));
    out.push_back(':');
    put_head_counts(out, curves);
    comma = ",";
  }
  out.push_back('}');
}

}  // namespace

std::string curves_json(const RunCurves& curves, const std::vector<std::string>& columns, const HeldCurves& held) {
  const StepHistory& history = curves.history;
  const bool goes_on = held.epoch == curves.epoch && held.width == history.width() && held.from <= history.buckets();
  const std::size_t from = goes_on ? held.from : 0;
  fmt::memory_buffer out;
  const auto put_step = [&](std::int64_t step) { fmt::format_to(fmt::appender(out), "{}", step); };
  // A string: JavaScript's numbers have 53 bits.
  fmt::format_to(fmt::appender(out), R"({{"epoch":"{}","width":{},"from":{},"read":{:.4f},)", curves.epoch,
                 history.width(), from, curves.read);
  put_names(out, history);
  put(out, ",\"first\":");
  put_list(out, history.first_steps(), from, put_step);
  put(out, ",\"last\":");
  put_list(out, history.last_steps(), from, put_step);
  put(out, ",\"curves\":{");
  std::string_view comma;
  for (const std::string& column : columns) {
    const Curves found = curves_of(history, column);
    if (found.empty()) continue;
    put(out, comma);
    put(out, json_string(column));
    out.push_back(':');
    put_list(out, found, 0, [&](const StepHistory::Curve* curve) { put_curve(out, *curve, from); });
    comma = ",";
  }
  put(out, "}}");
  return fmt::to_string(out);
}

std::string strips_json(const RunCurves& curves, std::string_view statistic, std::size_t most) {
  const StepHistory& history = curves.history;
  const auto found = history.heads().find(std::string(statistic));
  if (found == history.heads().end()) return "";
  const std::size_t buckets = history.buckets(), each = (buckets + most - 1) / most;  // buckets of a column
  std::vector<std::int64_t> steps;
  for (std::size_t i = 0; i < buckets; i += each) steps.push_back(history.first_steps()[i]);
  fmt::memory_buffer out;
  put(out, "{\"layers\":");
  put_head_counts(out, found->second);
  put(out, ",\"steps\":");
  put_list(out, steps, 0, [&](std::int64_t step) { fmt::format_to(fmt::appender(out), "{}", step); });
  fmt::format_to(fmt::appender(out), ",\"last\":{},\"rows\":[", buckets == 0 ? 0 : history.last_steps().back());
  std::string_view comma;
  for (const std::vector<StepHistory::Curve>& layer : found->second.heads) {
    for (const StepHistory::Curve& head : layer) {
      std::vector<double> means;
      for (std::size_t i = 0; i < buckets; i += each) {
        StepHistory::Cell cell = head[i];
        for (std::size_t j = i + 1; j < std::min(i + each, buckets); ++j) cell = together(cell, head[j]);
        means.push_back(cell.mean);
      }
      put(out, comma);
      put_list(out, means, 0, [&](double mean) { put_number(out, mean); });
      comma = ",";
    }
  }
  put(out, "]}");
  return fmt::to_string(out);
}

}  // namespace polariscope::live
