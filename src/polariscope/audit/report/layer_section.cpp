// The residual stream, layer by layer: massive activations beside what is usual there.
#include "polariscope/audit/report/sections.h"
#include "polariscope/base/terminal.h"
#include "polariscope/report/charts.h"
#include "polariscope/report/colours.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

namespace polariscope::audit {
namespace {

report::Series series(std::string name, bool dashed = false) {
  return {.name = std::move(name), .x = {}, .y = {}, .low = {}, .high = {}, .colour = "", .dashed = dashed};
}

report::Figure massive_figure(const AuditRecord& record) {
  report::Series largest = series("largest |x|"), norm = series("mean norm of a token", true),
                 median = series("median |x|");
  report::SeriesChart chart{.x = {.title = "layer", .whole = true},
                            .y = {"size", report::Scale::kLog},
                            .series = {},
                            .references = {{"massive only above 100", 100.0}}};
  const LargeActivation* before = nullptr;
  for (std::size_t l = 0; l < record.result.layers.size(); ++l) {
    const LayerResult& layer = record.result.layers[l];
    const auto x = static_cast<double>(l);
    for (report::Series* of : {&largest, &norm, &median}) of->x.push_back(x);
    largest.y.push_back(layer.largest.empty() ? std::numeric_limits<double>::quiet_NaN()
                                              : std::abs(layer.largest[0].value));
    norm.y.push_back(layer.hidden_norm.value());
    median.y.push_back(layer.median_activation.value());
    if (layer.massive == 0 || layer.largest.empty()) {
      before = nullptr;
      continue;
    }
    // Named where another token or channel becomes the largest.
    const LargeActivation& now = layer.largest[0];
    if (before == nullptr || before->token != now.token || before->channel != now.channel) {
      chart.marks.push_back({fmt::format("{}, channel {}", token_in_words(record, now.text, now.token), now.channel), x,
                             std::abs(now.value), report::named_colour("red")});
    }
    before = &now;
  }
  chart.series = {std::move(largest), std::move(norm), std::move(median)};
  return {.id = "massive",
          .title = "Massive activations",
          .caption =
              "▼ where a token and channel become the largest that are massive: above 100 and 1,000 times the "
              "median of their text (Sun et al. 2024). Point at one for its name.",
          .alternative = "Largest activation, mean norm and median of the residual stream after each layer.",
          .spec = report::series_chart(chart),
          .table = report::table_of(chart)};
}

report::Figure kurtosis_figure(const AuditRecord& record) {
  report::Series kurtosis = series("kurtosis");
  for (std::size_t l = 0; l < record.result.layers.size(); ++l) {
    kurtosis.x.push_back(static_cast<double>(l));
    kurtosis.y.push_back(record.result.layers[l].kurtosis.value());
  }
  report::SeriesChart chart{.x = {.title = "layer", .whole = true},
                            .y = {"kurtosis of the residual stream", report::Scale::kLog},
                            .series = {std::move(kurtosis)},
                            .references = {{"a normal distribution: 3", 3.0}}};
  return {.id = "kurtosis",
          .title = "Outliers of the residual stream",
          .caption = "What rounds badly to few bits: the fourth standardised moment of all its numbers.",
          .alternative = "Kurtosis after each layer.",
          .spec = report::series_chart(chart),
          .table = report::table_of(chart)};
}

report::Listing listing_of(const AuditRecord& record) {
  std::vector<double> layers, values, ratios, channels, counts, kurtosis, norms;
  std::vector<std::string> tokens;
  for (std::size_t l = 0; l < record.result.layers.size(); ++l) {
    const LayerResult& layer = record.result.layers[l];
    for (const LargeActivation& large : layer.largest) {
      layers.push_back(static_cast<double>(l));
      tokens.push_back(token_in_words(record, large.text, large.token));
      channels.push_back(static_cast<double>(large.channel));
      values.push_back(large.value);
      ratios.push_back(large.ratio);
      counts.push_back(static_cast<double>(layer.massive));
      kurtosis.push_back(layer.kurtosis.value());
      norms.push_back(layer.hidden_norm.value());
    }
  }
  return {.id = "activations",
          .title = "The largest activations of each layer",
          .caption = "Of all texts; massive counts all of a layer's that are.",
          .table = {{{"layer", std::move(layers)},
                     {"token", std::move(tokens)},
                     {"channel", std::move(channels)},
                     {"value", std::move(values)},
                     {"times the median", std::move(ratios)},
                     {"massive", std::move(counts)},
                     {"kurtosis", std::move(kurtosis)},
                     {"mean norm", std::move(norms)}}}};
}

}  // namespace

report::Section layer_section(const AuditRecord& record) {
  report::Section section;
  section.id = "layers";
  section.title = "What the residual stream carries";
  section.source = short_name(record);
  section.question = "Which tokens and channels grow far beyond the others, and from which layer to which?";
  section.figures = {massive_figure(record), kurtosis_figure(record)};
  section.listings = {listing_of(record)};
  return section;
}

}  // namespace polariscope::audit
