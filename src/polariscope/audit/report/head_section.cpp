// Layers × heads: maps, histograms as in the polarisation paper's figure 7, sinks layer by layer, every head's numbers.
#include "polariscope/audit/report/sections.h"
#include "polariscope/audit/summary.h"
#include "polariscope/base/quantiles.h"
#include "polariscope/base/terminal.h"
#include "polariscope/report/charts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

namespace polariscope::audit {
namespace {

using Number = std::function<double(const HeadResult&)>;
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

struct Measure {
  std::string title;
  Number of;
  std::optional<double> low = {}, high = {};
};

std::vector<Measure> measures() {
  return {{"relative entropy", [](const HeadResult& head) { return head.relative_entropy.value(); }, 0.0, 1.0},
          {"weight on the first token seen", [](const HeadResult& head) { return head.first_visible_key.value(); }, 0.0,
           1.0},
          {"sparsity: largest weight", [](const HeadResult& head) { return head.sparsity.value(); }, 0.0, 1.0},
          {"standard deviation of logits",
           [](const HeadResult& head) { return std::sqrt(head.logit_variance.value()); },
           0.0,
           {}}};
}

std::vector<double> numbers_to(std::size_t count) {
  std::vector<double> numbers(count);
  for (std::size_t i = 0; i < count; ++i) numbers[i] = static_cast<double>(i);
  return numbers;
}

report::HeatMap map_of(const AuditRecord& record, const Measure& measure) {
  std::size_t heads = 0;
  for (const LayerResult& layer : record.result.layers) heads = std::max(heads, layer.heads.size());
  report::HeatMap map{.x = {"head"},
                      .y = {"layer"},
                      .value_title = measure.title,
                      .columns = numbers_to(heads),
                      .rows = numbers_to(record.result.layers.size()),
                      .values = {},
                      .low = measure.low,
                      .high = measure.high,
                      .outlined = {}};
  for (const LayerResult& layer : record.result.layers) {
    std::vector<double>& row = map.values.emplace_back(heads, kNone);
    for (std::size_t h = 0; h < layer.heads.size(); ++h) row[h] = measure.of(layer.heads[h]);
  }
  return map;
}

std::vector<double> all_heads(const AuditRecord& record, const Number& of) {
  std::vector<double> values;
  for (const LayerResult& layer : record.result.layers) {
    for (const HeadResult& head : layer.heads) values.push_back(of(head));
  }
  return values;
}

report::Figure maps_figure(const AuditRecord& record) {
  std::vector<report::Panel> panels;
  report::Table table;
  for (const Measure& measure : measures()) {
    const report::HeatMap map = map_of(record, measure);
    panels.push_back({"", report::heat_map(map)});
    report::Table own = report::table_of(map);
    if (table.columns.empty()) {
      table = std::move(own);
    } else {
      table.columns.push_back(std::move(own.columns.back()));
    }
  }
  return {.id = "maps",
          .title = "Layers and heads",
          .caption =
              "Layer 0 is at the bottom. Bright in the second map is a sink, dark in the first a head that "
              "looks at few tokens.",
          .alternative =
              "Four maps of layers and heads: relative entropy, weight on the first token seen, sparsity, "
              "spread of the logits.",
          .spec = report::panels(panels, 2),
          .table = std::move(table)};
}

report::Figure histogram_figure(const AuditRecord& record) {
  std::vector<report::Panel> panels;
  report::Table table;
  for (const Measure& measure : measures()) {
    const std::vector<double> values = all_heads(record, measure.of);
    panels.push_back({"", report::histogram({.x = {measure.title}, .values = values, .bins = 20, .marks = {}})});
    table.columns.push_back({measure.title, values});
  }
  return {.id = "histograms",
          .title = "How the heads are spread",
          .caption =
              "Each head counts once, by its mean over all rows; sparsity as in the polarisation paper's figure "
              "7.",
          .alternative = "Histograms over heads of the four numbers of the maps.",
          .spec = report::panels(panels, 2),
          .table = std::move(table)};
}

report::Figure sinks_figure(const AuditRecord& record) {
  report::Series heads{.name = "a head", .x = {}, .y = {}, .low = {}, .high = {}, .colour = ""},
      mean{.name = "mean of the layer", .x = {}, .y = {}, .low = {}, .high = {}, .colour = ""},
      flat{.name = "equal weights", .x = {}, .y = {}, .low = {}, .high = {}, .colour = "", .dashed = true};
  mean.line = flat.line = true;
  for (std::size_t l = 0; l < record.result.layers.size(); ++l) {
    metrics::Mean of_layer, of_flat;
    for (const HeadResult& head : record.result.layers[l].heads) {
      heads.x.push_back(static_cast<double>(l));
      heads.y.push_back(head.first_visible_key.value());
      of_layer.add(head.first_visible_key.value());
      of_flat.add(head.flat_share.value());
    }
    for (report::Series* series : {&mean, &flat}) series->x.push_back(static_cast<double>(l));
    mean.y.push_back(of_layer.value());
    flat.y.push_back(of_flat.value());
  }
  report::SeriesChart chart{.x = {.title = "layer", .whole = true},
                            .y = {"weight on the first token seen"},
                            .series = {std::move(heads), std::move(mean), std::move(flat)},
                            .references = {{"a sink from here on", kSinkShare}},
                            .points = true};
  return {.id = "sinks",
          .title = "Sinks, layer by layer",
          .caption = "One mean over all layers would hide where they begin and where they are gone.",
          .alternative = "Weight on the first token seen of every head, by layer.",
          .spec = report::series_chart(chart),
          .table = report::table_of(chart)};
}

// Tokens that a row of the widest layer sees; 0: all before it.
std::int64_t widest_window(const AuditRecord& record) {
  const bool whole = std::ranges::find(record.windows, 0) != record.windows.end();
  return whole || record.windows.empty() ? 0 : std::ranges::max(record.windows);
}

// Rows of bin b: [2^b - 1, 2^(b+1) - 1).
report::Figure position_figure(const AuditRecord& record) {
  const std::int64_t widest = widest_window(record);
  std::size_t bins = 0;
  for (const LayerResult& layer : record.result.layers) {
    for (const HeadResult& head : layer.heads) bins = std::max(bins, head.entropy_by_position.size());
  }
  report::Series middle{
      .name = "median of the heads, 10 to 90 % shaded", .x = {}, .y = {}, .low = {}, .high = {}, .colour = ""},
      most{.name = "equal weights", .x = {}, .y = {}, .low = {}, .high = {}, .colour = "", .dashed = true};
  for (std::size_t b = 0; b < bins; ++b) {
    std::vector<double> values;
    for (const LayerResult& layer : record.result.layers) {
      for (const HeadResult& head : layer.heads) {
        if (b < head.entropy_by_position.size() && head.entropy_by_position[b].count() > 0) {
          values.push_back(head.entropy_by_position[b].value());
        }
      }
    }
    if (values.empty()) continue;
    std::ranges::sort(values);
    const double position = 1.5 * std::exp2(static_cast<double>(b)) - 0.5;  // counted from 1: the middle of the bin
    for (report::Series* series : {&middle, &most}) series->x.push_back(position);
    middle.y.push_back(median_of_sorted(values));
    middle.low.push_back(quantile_of_sorted(values, 0.1));
    middle.high.push_back(quantile_of_sorted(values, 0.9));
    most.y.push_back(std::log(widest > 0 ? std::min(position, static_cast<double>(widest)) : position));
  }
  report::SeriesChart chart{.x = {"token, counted from 1", report::Scale::kLog},
                            .y = {"entropy of a row (nats)"},
                            .series = {std::move(middle)},
                            .references = {}};
  if (record.causal) chart.series.push_back(std::move(most));
  return {.id = "positions",
          .title = "Entropy along the text",
          .caption = !record.causal ? "Every row of a text sees all of it."
                     : widest > 0   ? "Of equal weights a row would have the logarithm of what its window shows."
                                    : "Of equal weights a row at token n would have ln n.",
          .alternative = "Entropy of rows against their place in the text.",
          .spec = report::series_chart(chart),
          .table = report::table_of(chart)};
}

// "first", "token 17" or "".
std::string sink_word(const HeadResult& head) {
  std::string word = is_sink(head) ? "first" : "";
  for (const SinkKey& key : head.sinks) {
    if (key.token == 0) continue;
    return word + fmt::format("{}token {}", word.empty() ? "" : ", ", key.token);
  }
  return word;
}

report::Listing listing_of(const AuditRecord& record) {
  std::vector<double> layers, numbers;
  std::vector<std::string> sinks;
  for (std::size_t l = 0; l < record.result.layers.size(); ++l) {
    for (std::size_t h = 0; h < record.result.layers[l].heads.size(); ++h) {
      layers.push_back(static_cast<double>(l));
      numbers.push_back(static_cast<double>(h));
      sinks.push_back(sink_word(record.result.layers[l].heads[h]));
    }
  }
  report::Listing listing{.id = "all",
                          .title = "Every head",
                          .caption = "Press a heading to sort by it, once more to turn it round.",
                          .table = {}};
  std::vector<report::Column>& columns = listing.table.columns;
  columns = {{"layer", std::move(layers)}, {"head", std::move(numbers)}};
  const auto add = [&](const char* name, const Number& of) { columns.push_back({name, all_heads(record, of)}); };
  add("entropy", [](const HeadResult& head) { return head.entropy.value(); });
  add("relative entropy", [](const HeadResult& head) { return head.relative_entropy.value(); });
  add("first token seen", [](const HeadResult& head) { return head.first_visible_key.value(); });
  add("sparsity", [](const HeadResult& head) { return head.sparsity.value(); });
  add("support", [](const HeadResult& head) { return head.support.value(); });
  add("logit variance", [](const HeadResult& head) { return head.logit_variance.value(); });
  add("largest logit", [](const HeadResult& head) { return head.largest_logit; });
  add("β", [](const HeadResult& head) { return head.beta; });
  add("first value / median", [](const HeadResult& head) { return head.first_value_ratio.value(); });
  const auto add_layers = [&](const char* name, const auto& of_layers, const auto& of) {
    if (of_layers.empty()) return;
    std::vector<double> values;
    for (const auto& layer : of_layers) {
      for (const auto& head : layer) values.push_back(of(head));
    }
    columns.push_back({name, std::move(values)});
  };
  add_layers("‖W_Qᵀ W_K‖", record.query_key_norms, [](double norm) { return norm; });
  add_layers("token before", record.scores, [](const HeadScores& of) { return of.previous_token; });
  add_layers("same token", record.scores, [](const HeadScores& of) { return of.duplicate; });
  add_layers("induction", record.scores, [](const HeadScores& of) { return of.induction; });
  if (record.costs && !record.costs->heads.empty()) {
    std::vector<double> costs;
    for (const Intervention& of : record.costs->heads) costs.push_back(of.nll - record.costs->nll);
    columns.push_back({"loss without it", std::move(costs)});
  }
  columns.push_back({"sink", std::move(sinks)});
  return listing;
}

// What the numbers depend on.
std::vector<std::pair<std::string, std::string>> configuration_of(const AuditRecord& record) {
  std::int64_t tokens = 0, left_out = 0;
  for (const TextResult& text : record.result.texts) tokens += text.tokens;
  for (const AuditedText& text : record.texts) left_out += text.left_out;
  std::vector<std::pair<std::string, std::string>> rows{
      {"model", record.model},
      {"architecture", fmt::format("{}, {} layers, width {}, vocabulary {}", record.architecture,
                                   record.result.layers.size(), record.width, record.vocabulary)},
      {"products", record.precision},
      {"tokenizer", record.tokenizer.empty() ? "none: token ids were given" : record.tokenizer},
      {"texts", fmt::format("{}, {} tokens; {} cut off", record.result.texts.size(), tokens, left_out)}};
  if (record.tokenizer.empty() || record.texts.empty()) return rows;
  std::string first;
  for (const auto& [id, text] : record.texts[0].first) {
    first += fmt::format("{}{} \"{}\"", first.empty() ? "" : ", ", id, text);
  }
  rows.emplace_back("first tokens of the first text", first);
  return rows;
}

}  // namespace

report::Section head_section(const AuditRecord& record) {
  report::Section section;
  section.id = "heads";
  section.title = "Where the heads look";
  section.source = short_name(record);
  section.question = "How much of the attention goes to how few tokens, and to which?";
  section.figures = {maps_figure(record), sinks_figure(record), histogram_figure(record), position_figure(record)};
  section.listings = {listing_of(record)};
  section.configuration = configuration_of(record);
  return section;
}

}  // namespace polariscope::audit
