// polariscope list: what there is to choose from.
#include "commands.h"
#include "polariscope/base/error.h"
#include "polariscope/base/names.h"
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiment.h"
#include "polariscope/flow/checks.h"
#include "polariscope/reweighting/reweighting.h"

#include <fmt/format.h>

#include <array>
#include <memory>
#include <string>

namespace polariscope {
namespace {

using Rows = std::vector<std::vector<std::string>>;

Rows experiments_table() {
  Rows rows{{"id", "what it shows", "source"}};
  for (const Experiment& e : catalogue())
    rows.push_back({std::string(e.id), std::string(e.title), std::string(e.source)});
  return rows;
}

Rows checks_table() {
  Rows rows{{"id", "applies to", "statement"}};
  for (const Check& c : checks()) {
    rows.push_back({std::string(c.id), std::string(c.precondition), std::string(c.statement)});
  }
  return rows;
}

std::string markdown(const Rows& rows) {
  std::string text;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (std::string cell : rows[i]) {
      for (std::size_t bar = 0; (bar = cell.find('|', bar)) != std::string::npos; bar += 2) cell.insert(bar, "\\");
      text += fmt::format("| {} ", cell);
    }
    text += "|\n";
    if (i > 0) continue;
    for (std::size_t j = 0; j < rows[i].size(); ++j) text += "|---";
    text += "|\n";
  }
  return text;
}

}  // namespace

Command add_list(CLI::App& app) {
  CLI::App* command = app.add_subcommand("list", "List the experiments, re-weighting functions or theorem checks");
  auto what = std::make_shared<std::string>();
  auto as_markdown = std::make_shared<bool>(false);
  command->add_option("what", *what, "experiments, reweightings or checks")->required();
  command->add_flag("--markdown", *as_markdown, "Print a Markdown table");
  command->footer(
      "Examples:\n"
      "  polariscope list experiments\n"
      "  polariscope list reweightings --markdown");
  return [=] {
    constexpr std::array<std::string_view, 3> kKnown{"experiments", "reweightings", "checks"};
    Rows rows;
    if (*what == kKnown[0]) {
      rows = experiments_table();
    } else if (*what == kKnown[1]) {
      rows = reweighting_table();
    } else if (*what == kKnown[2]) {
      rows = checks_table();
    } else {
      throw Error("{}", unknown_name("list", *what, kKnown));
    }
    fmt::print("{}", *as_markdown ? markdown(rows) : aligned_table(rows));
    return 0;
  };
}

}  // namespace polariscope
