#include "polariscope/audit/report/audit_page.h"

#include "polariscope/audit/report/sections.h"
#include "polariscope/audit/verdicts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <set>
#include <utility>

namespace polariscope::audit {
namespace {

std::vector<report::Section> sections_of(const AuditedModel& model) {
  std::vector<report::Section> sections{head_section(model.record), layer_section(model.record)};
  for (std::optional<report::Section> section : {picture_section(model), cost_section(model.record),
                                                 first_token_section(model.record), what_if_section(model.record)}) {
    if (section) sections.push_back(std::move(*section));
  }
  return sections;
}

// Of several models each has its number before the ids of its sections, and its name above them.
void add(const AuditedModel& model, std::size_t number, std::size_t models, report::Page& page) {
  const std::string prefix = models == 1 ? "" : fmt::format("{}.", number + 1);
  for (report::Remark& remark : verdicts(model.record)) {
    if (models > 1) remark.text = fmt::format("{}: {}", model.label, remark.text);
    if (!remark.evidence.empty()) remark.evidence = prefix + remark.evidence;
    page.remarks.push_back(std::move(remark));
  }
  for (report::Section& section : sections_of(model)) {
    section.id = prefix + section.id;
    if (models > 1) section.source = model.label;
    page.sections.push_back(std::move(section));
  }
}

std::vector<AuditedModel> labelled(std::span<const AuditedModel> given) {
  std::vector<AuditedModel> models(given.begin(), given.end());
  std::set<std::string> taken;
  for (AuditedModel& model : models) {
    std::string label = model.label.empty() ? short_name(model.record) : model.label;
    if (taken.contains(label)) label = model.record.model;
    const std::string name = label;
    for (int i = 2; taken.contains(label); ++i) label = fmt::format("{} ({})", name, i);
    taken.insert(label);
    model.label = std::move(label);
  }
  return models;
}

std::optional<double> trailing_number(std::string name) {
  while (name.ends_with('/')) name.pop_back();
  if (name.ends_with(".gguf")) name.resize(name.size() - 5);
  std::size_t begin = name.size();
  while (begin > 0 && std::isdigit(static_cast<unsigned char>(name[begin - 1])) != 0) --begin;
  double number = 0.0;
  const auto [end, problem] = std::from_chars(name.data() + begin, name.data() + name.size(), number);
  return problem == std::errc() ? std::optional(number) : std::nullopt;
}

}  // namespace

std::vector<double> steps_of(std::span<const AuditedModel> models) {
  std::vector<double> steps;
  for (const AuditedModel& model : models) {
    const std::optional<double> step = trailing_number(model.record.model);
    if (!step) return {};
    steps.push_back(*step);
  }
  const bool differ = std::set<double>(steps.begin(), steps.end()).size() == steps.size();
  return differ && steps.size() > 1 ? steps : std::vector<double>();
}

report::Page audit_page(std::span<const AuditedModel> given) {
  const std::vector<AuditedModel> models = labelled(given);
  report::Page page;
  if (models.size() > 1) page.sections.push_back(comparison_section(models));
  for (std::size_t i = 0; i < models.size(); ++i) add(models[i], i, models.size(), page);
  std::ranges::stable_partition(page.remarks, &report::Remark::notable);
  page.definitions = {
      {"Weights",
       "p, as they multiply the values: after caps, biases, windows and masks, of query heads. Means are over "
       "the rows of all texts."},
      {"Relative entropy", "of p/Σp over ln n for the n keys that a row sees; rows that see one key are left out"},
      {"First token seen", "the first key that a row sees: not 0 where a window hides it"},
      {"Sparsity", "the largest p/Σp of a row (polarisation paper, E.2)"},
      {"Support", "the least number of keys with 90 % of Σp"},
      {"Activations", "numbers of the residual stream after a layer, before the final norm"},
  };
  return page;
}

}  // namespace polariscope::audit
