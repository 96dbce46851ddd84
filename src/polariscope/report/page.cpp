#include "polariscope/report/page.h"

#include "polariscope/base/version.h"
#include "polariscope/report/internal/assets.h"
#include "polariscope/report/internal/html.h"
#include "polariscope/report/internal/page_table.h"
#include "polariscope/report/internal/parts.h"

#include <fmt/format.h>

#include <algorithm>

namespace polariscope::report {
namespace {

using namespace report;

// A page stays under 15 MB; a megabyte of that is left for its text, of which the whole catalogue has two thirds.
constexpr std::size_t kPageBytes = 14'000'000;

// [section][figure]: every how many rows of each table go into the page. All do, unless the whole
// would weigh too much: then the heaviest table gives up every second row, and again, until it fits.
std::vector<std::vector<std::size_t>> table_steps(const Page& page) {
  struct Weight {
    std::size_t bytes, section, figure;
  };
  std::vector<std::vector<std::size_t>> steps;
  std::vector<Weight> weights;
  std::size_t total = chart_scripts().size();
  for (std::size_t s = 0; s < page.sections.size(); ++s) {
    const auto& figures = page.sections[s].figures;
    steps.emplace_back(figures.size(), 1);
    for (std::size_t f = 0; f < figures.size(); ++f) {
      weights.push_back({page_table(figures[f].table, 1).size(), s, f});
      total += weights.back().bytes + script_json(figures[f].spec).size();
    }
  }
  while (total > kPageBytes && !weights.empty()) {
    Weight& heaviest = *std::ranges::max_element(weights, {}, &Weight::bytes);
    const std::size_t saved = heaviest.bytes / 2;
    if (saved == 0) break;
    total -= saved;
    heaviest.bytes -= saved;
    steps[heaviest.section][heaviest.figure] *= 2;
  }
  return steps;
}

std::string facts(const Page& page) {
  std::string out;
  const auto fact = [&out](std::string_view name, std::string_view value) {
    if (!value.empty()) out += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>", name, escape(value));
  };
  fact("preset", page.preset);
  fact("date", page.date);
  fact("machine", page.machine);
  fact("version", page.version);
  const bool trained = std::ranges::any_of(page.sections, [](const Section& section) { return !section.runs.empty(); });
  fact(!page.remarks.empty() ? "took"
       : trained             ? "experiments took, trainings apart"
                             : "experiments took",
       duration(page.wall_seconds));
  return out;
}

std::string unfinished(const Page& page) {
  if (page.unfinished.empty()) return "";
  std::string names;
  for (const std::string& id : page.unfinished) {
    names += fmt::format("{}<span class=\"id\">{}</span>", names.empty() ? "" : ", ", escape(id));
  }
  return fmt::format(
      "<p class=\"unfinished\" role=\"note\"><strong>Unfinished.</strong> Asked for and not done, so "
      "not counted below: {}.</p>",
      names);
}

// One note a reason.
std::string skipped(const Page& page) {
  std::vector<std::pair<std::string, std::string>> ids_of_reasons;
  for (const auto& [id, reason] : page.skipped) {
    auto known = std::ranges::find(ids_of_reasons, reason, &std::pair<std::string, std::string>::first);
    if (known == ids_of_reasons.end()) known = ids_of_reasons.insert(known, {reason, ""});
    known->second += fmt::format("{}<span class=\"id\">{}</span>", known->second.empty() ? "" : ", ", escape(id));
  }
  std::string out;
  for (const auto& [reason, ids] : ids_of_reasons) {
    out +=
        fmt::format("<p class=\"unfinished\" role=\"note\"><strong>Skipped.</strong> {}: {}.</p>", ids, escape(reason));
  }
  return out;
}

std::string method(const Page& page) {
  if (page.definitions.empty()) return "";
  std::string out =
      R"(<section id="method" aria-labelledby="method-t"><h2 id="method-t">Method</h2><dl class="definitions">)";
  for (const auto& [name, definition] : page.definitions) {
    out += fmt::format("<dt>{}</dt><dd>{}</dd>", escape(name), escape(definition));
  }
  return out + "</dl></section>";
}

// Nothing may be fetched, and of scripts only the two that we embed may run. Vega compiles
// expressions to functions by default, which would need 'unsafe-eval': the page has them
// interpreted instead. Vega and the tooltips style elements directly, hence 'unsafe-inline' there.
std::string security_policy() {
  return fmt::format(
      "default-src 'none'; script-src '{}' '{}'; style-src 'unsafe-inline'; img-src data: blob:; "
      "base-uri 'none'; form-action 'none'",
      chart_scripts_hash(), page_script_hash());
}

}  // namespace

void stamp(Page& page) {
  page.date = now_utc();
  page.machine = machine();
  page.version = fmt::format("{} ({})", version(), commit());
}

std::string render(const Page& page) {
  const auto steps = table_steps(page);
  std::string sections;
  for (std::size_t s = 0; s < page.sections.size(); ++s) sections += section_html(page.sections[s], steps[s]);
  return fill(page_skeleton(), {{"policy", security_policy()},
                                {"title", escape(page.title)},
                                {"style", std::string(page_style())},
                                {"facts", facts(page)},
                                {"command", escape(page.command)},
                                {"unfinished", unfinished(page) + skipped(page)},
                                {"contents", contents(page)},
                                {"scoreboard_name", scoreboard_name(page)},
                                {"scoreboard", scoreboard(page)},
                                {"sections", std::move(sections)},
                                {"method", method(page)},
                                {"licences", escape(chart_licences())},
                                {"chart_scripts", std::string(chart_scripts())},
                                {"page_script", std::string(page_script())}});
}

}  // namespace polariscope::report
