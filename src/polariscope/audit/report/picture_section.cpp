// The attention of chosen heads over the text itself.
#include "polariscope/audit/report/sections.h"
#include "polariscope/report/charts.h"

#include <fmt/format.h>

namespace polariscope::audit {
namespace {

// Tokens come again, labels may not: each has its place before it.
std::vector<std::string> labels(const std::vector<std::string>& tokens, std::size_t count) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; ++i) {
    names.push_back(i < tokens.size() ? fmt::format("{} {}", i, tokens[i]) : fmt::format("{}", i));
  }
  return names;
}

report::Figure figure_of(const AttentionPicture& picture, const std::vector<std::string>& tokens) {
  const std::size_t size = picture.weights.size();
  std::vector<double> places(size);
  for (std::size_t i = 0; i < size; ++i) places[i] = static_cast<double>(i);
  const std::vector<std::string> names = labels(tokens, size);
  const report::HeatMap map{.x = {"looked at"},
                            .y = {"token"},
                            .value_title = "weight",
                            .columns = places,
                            .rows = places,
                            .values = picture.weights,
                            .low = 0.0,
                            .high = 1.0,
                            .outlined = {},
                            .square = true,
                            .side = 640,
                            .downwards = true,
                            .unmarked = true,
                            .column_names = names,
                            .row_names = names};
  return {
      .id = fmt::format("{}-{}", picture.head.layer, picture.head.head),
      .title = fmt::format("Layer {}, head {}: {}", picture.head.layer, picture.head.head, picture.head.why),
      .caption = fmt::format("The first {} tokens of the first text; a row's weights over the tokens it sees.", size),
      .alternative =
          fmt::format("Weights of layer {}, head {}, as a matrix of tokens.", picture.head.layer, picture.head.head),
      .spec = report::heat_map(map),
      .table = report::table_of(map)};
}

}  // namespace

std::optional<report::Section> picture_section(const AuditedModel& model) {
  if (model.pictures.empty()) return std::nullopt;
  report::Section section;
  section.id = "attention";
  section.title = "Heads over the text";
  section.source = short_name(model.record);
  section.question = "What do the heads that stand out look like?";
  for (const AttentionPicture& picture : model.pictures) {
    section.figures.push_back(figure_of(picture, model.picture_tokens));
  }
  return section;
}

}  // namespace polariscope::audit
