// What takes passes of its own: things taken away, other first tokens, other attention with the same weights.
#include "polariscope/audit/report/sections.h"
#include "polariscope/report/charts.h"

#include <fmt/format.h>

#include <limits>

namespace polariscope::audit {
namespace {

report::Section section_named(const char* id, const char* title, const char* question, const AuditRecord& record) {
  report::Section section;
  section.id = id;
  section.title = title;
  section.source = short_name(record);
  section.question = question;
  return section;
}

report::Figure sink_costs(const InterventionCosts& costs) {
  report::Series series{.name = "more loss", .x = {}, .y = {}, .low = {}, .high = {}, .colour = ""};
  double all = std::numeric_limits<double>::quiet_NaN();
  for (const Intervention& of : costs.sinks) {
    if (of.layer < 0) {
      all = of.nll - costs.nll;
      continue;
    }
    series.x.push_back(static_cast<double>(of.layer));
    series.y.push_back(of.nll - costs.nll);
  }
  report::SeriesChart chart{.x = {.title = "layer", .whole = true},
                            .y = {"more loss (nats per token)", report::Scale::kSymlog},
                            .series = {std::move(series)},
                            .references = {{"nothing", 0.0}}};
  return {
      .id = "sinks",
      .title = "Without what the first token adds",
      .caption = fmt::format("p v of the first token that a row sees is left out of one layer's attention. Left out "
                             "of all layers it costs {:.3g} nats per token.",
                             all),
      .alternative = "What each layer's sink contribution is worth, in loss.",
      .spec = report::series_chart(chart),
      .table = report::table_of(chart)};
}

report::Figure head_costs(const InterventionCosts& costs) {
  report::Series series{.name = "a head", .x = {}, .y = {}, .low = {}, .high = {}, .colour = ""};
  for (const Intervention& of : costs.heads) {
    series.x.push_back(static_cast<double>(of.layer));
    series.y.push_back(of.nll - costs.nll);
  }
  report::SeriesChart chart{.x = {.title = "layer", .whole = true},
                            .y = {"more loss without it (nats per token)", report::Scale::kSymlog},
                            .series = {std::move(series)},
                            .references = {{"nothing", 0.0}},
                            .points = true};
  return {.id = "heads",
          .title = "Without one head",
          .caption =
              "Its output is zero, one head at a time. Most heads can be spared; below the line the model does "
              "better without.",
          .alternative = "What each head is worth, in loss, by layer.",
          .spec = report::series_chart(chart),
          .table = report::table_of(chart)};
}

report::Figure by_layer(const char* id, const char* title, const char* axis, const std::vector<Variation>& variations,
                        std::vector<double> Variation::*of) {
  report::SeriesChart chart{.x = {.title = "layer", .whole = true}, .y = {axis}, .series = {}, .references = {}};
  for (const Variation& variation : variations) {
    report::Series series{.name = variation.name, .x = {}, .y = variation.*of, .low = {}, .high = {}, .colour = ""};
    for (std::size_t l = 0; l < series.y.size(); ++l) series.x.push_back(static_cast<double>(l));
    chart.series.push_back(std::move(series));
  }
  return {.id = id,
          .title = title,
          .caption = "Mean over the heads of a layer.",
          .alternative = fmt::format("{} by layer, a line each.", title),
          .spec = report::series_chart(chart),
          .table = report::table_of(chart)};
}

report::Listing listing_of(const std::vector<Variation>& variations) {
  std::vector<std::string> names;
  std::vector<double> losses, changes, entropies, sinks, largest;
  for (const Variation& of : variations) {
    names.push_back(of.name);
    losses.push_back(of.nll);
    changes.push_back(of.nll - variations[0].nll);
    entropies.push_back(of.relative_entropy);
    sinks.push_back(of.first_visible_key);
    largest.push_back(of.largest_activation);
  }
  return {.id = "all",
          .title = "Side by side",
          .caption = "Means over all heads of all layers; loss in nats per token, the same tokens in each.",
          .table = {{{"what", std::move(names)},
                     {"loss", std::move(losses)},
                     {"more than the first", std::move(changes)},
                     {"relative entropy", std::move(entropies)},
                     {"first token seen", std::move(sinks)},
                     {"largest activation", std::move(largest)}}}};
}

void compare(const std::vector<Variation>& variations, report::Section& section) {
  section.listings = {listing_of(variations)};
  section.figures = {
      by_layer("sinks", "Weight on the first token seen", "weight", variations, &Variation::layer_sinks),
      by_layer("entropies", "Relative entropy", "relative entropy", variations, &Variation::layer_entropies)};
}

}  // namespace

std::optional<report::Section> cost_section(const AuditRecord& record) {
  if (!record.costs) return std::nullopt;
  report::Section section = section_named("costs", "What it costs to take them away",
                                          "Do the sinks and the heads matter to the loss?", record);
  section.figures = {sink_costs(*record.costs)};
  if (!record.costs->heads.empty()) section.figures.push_back(head_costs(*record.costs));
  return section;
}

std::optional<report::Section> first_token_section(const AuditRecord& record) {
  if (record.first_tokens.empty()) return std::nullopt;
  report::Section section =
      section_named("first-tokens", "Other first tokens",
                    "What does the token before the text, on which sinks form, do to loss and activations?", record);
  compare(record.first_tokens, section);
  return section;
}

std::optional<report::Section> what_if_section(const AuditRecord& record) {
  if (record.what_if.empty()) return std::nullopt;
  report::Section section = section_named(
      "what-if", "The same weights with other attention",
      "How far is the model from one without sinks, with a cap on its logits, or with another temperature?", record);
  compare(record.what_if, section);
  return section;
}

}  // namespace polariscope::audit
