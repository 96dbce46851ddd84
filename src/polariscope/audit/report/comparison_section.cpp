// Models side by side; checkpoints of one model against their step.
#include "polariscope/audit/report/sections.h"
#include "polariscope/audit/summary.h"
#include "polariscope/report/charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>

namespace polariscope::audit {
namespace {

report::Listing listing_of(std::span<const AuditedModel> models) {
  std::vector<std::string> names;
  for (const AuditedModel& model : models) names.push_back(model.label);
  report::Listing listing{.id = "all",
                          .title = "In a few numbers",
                          .caption = "The summary of each model, by the names that limits are set to.",
                          .table = {{{"model", std::move(names)}}}};
  for (const Scalar& scalar : summary_scalars()) {
    std::vector<double> values;
    for (const AuditedModel& model : models) values.push_back(scalar.of(model.record.result));
    std::string name(scalar.name);
    std::ranges::replace(name, '_', ' ');
    listing.table.columns.push_back({std::move(name), std::move(values)});
  }
  return listing;
}

report::Figure by_layer(std::span<const AuditedModel> models, const char* id, const char* title,
                        metrics::Mean HeadResult::*of) {
  report::SeriesChart chart{.x = {"depth: layer / layers"}, .y = {title}, .series = {}, .references = {}};
  for (const AuditedModel& model : models) {
    report::Series series{.name = model.label, .x = {}, .y = {}, .low = {}, .high = {}, .colour = ""};
    const auto layers = static_cast<double>(model.record.result.layers.size());
    for (const LayerResult& layer : model.record.result.layers) {
      metrics::Mean mean;
      for (const HeadResult& head : layer.heads) mean.add((head.*of).value());
      series.x.push_back(static_cast<double>(series.x.size()) / layers);
      series.y.push_back(mean.value());
    }
    chart.series.push_back(std::move(series));
  }
  return {.id = id,
          .title = fmt::format("{}, layer by layer", title),
          .caption = "Mean over the heads of a layer.",
          .alternative = fmt::format("{} by depth, a line a model.", title),
          .spec = report::series_chart(chart),
          .table = report::table_of(chart)};
}

report::Figure sparsity_figure(std::span<const AuditedModel> models) {
  report::CategoryChart chart{.x = {"sparsity of a head"}, .categories = {}, .low = 0.0, .high = 1.0, .references = {}};
  for (const AuditedModel& model : models) {
    report::Category category{model.label, {}};
    for (const LayerResult& layer : model.record.result.layers) {
      for (const HeadResult& head : layer.heads) category.values.push_back(head.sparsity.value());
    }
    chart.categories.push_back(std::move(category));
  }
  return {.id = "sparsity",
          .title = "Sparsity of the heads",
          .caption = "A dot a head, a tick at the median.",
          .alternative = "Sparsity of the heads of each model.",
          .spec = report::category_chart(chart),
          .table = report::table_of(chart)};
}

report::Figure series_figure(std::span<const AuditedModel> models, const std::vector<double>& steps) {
  std::vector<std::size_t> order(models.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t i) { return steps[i]; });
  std::vector<report::Panel> panels;
  report::Table table;
  std::vector<double> sorted;
  for (const std::size_t i : order) sorted.push_back(steps[i]);
  table.columns.push_back({"step", sorted});
  constexpr std::array kShown{"loss", "relative_entropy", "sink_heads", "largest_logit"};
  for (const char* name : kShown) {
    const Scalar& scalar = find_scalar(name);
    report::Series series{.name = name, .x = sorted, .y = {}, .low = {}, .high = {}, .colour = ""};
    for (const std::size_t i : order) series.y.push_back(scalar.of(models[i].record.result));
    table.columns.push_back({name, series.y});
    std::string title = name;
    std::ranges::replace(title, '_', ' ');
    panels.push_back(
        {title, report::series_chart({.x = {"step"}, .y = {title}, .series = {series}, .references = {}})});
  }
  return {.id = "steps",
          .title = "Along training",
          .caption = "The number that ends each checkpoint's name is its step.",
          .alternative = "Loss, relative entropy, share of sinks and largest logit against the step.",
          .spec = report::panels(panels, 2, true),
          .table = std::move(table)};
}

}  // namespace

report::Section comparison_section(std::span<const AuditedModel> models) {
  report::Section section;
  section.id = "models";
  section.title = "The models side by side";
  section.question = "Which of them collapses, where, and by how much?";
  const std::vector<double> steps = steps_of(models);
  if (!steps.empty()) section.figures.push_back(series_figure(models, steps));
  section.figures.push_back(sparsity_figure(models));
  section.figures.push_back(
      by_layer(models, "sinks", "Weight on the first token seen", &HeadResult::first_visible_key));
  section.figures.push_back(by_layer(models, "entropies", "Relative entropy", &HeadResult::relative_entropy));
  section.listings = {listing_of(models)};
  return section;
}

}  // namespace polariscope::audit
