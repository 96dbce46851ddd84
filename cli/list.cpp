// polariscope list: what there is to choose from.
#include "commands.h"
#include "polariscope/base/error.h"
#include "polariscope/base/names.h"
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/shared/experiment.h"
#include "polariscope/flow/checks.h"
#include "polariscope/reweighting/attention_form.h"
#include "polariscope/reweighting/reweighting.h"
#include "polariscope/runs/options.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::cli {
namespace {

using Rows = std::vector<std::vector<std::string>>;

Rows experiments_table() {
  Rows rows{{"id", "what it shows", "source"}};
  for (const experiments::Experiment& e : experiments::catalogue())
    rows.push_back({std::string(e.id), std::string(e.title), std::string(e.source)});
  return rows;
}

Rows checks_table() {
  Rows rows{{"id", "applies to", "statement"}};
  for (const flow::Check& c : flow::checks()) {
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

// One object a row, its keys the headings.
std::string json(const Rows& rows) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (std::size_t i = 1; i < rows.size(); ++i) {
    nlohmann::ordered_json row;
    for (std::size_t j = 0; j < rows[i].size(); ++j) row[rows[0][j]] = rows[i][j];
    list.push_back(std::move(row));
  }
  return list.dump(2) + "\n";
}

struct List {
  std::string_view name;
  Rows (*table)();
};
constexpr std::array kLists{
    List{"experiments", experiments_table},
    List{"reweightings", reweighting::reweighting_table},
    List{"attentions", reweighting::attention_form_table},
    List{"checks", checks_table},
    List{"options", runs::option_table},
};

Rows table_of(std::string_view name) {
  std::vector<std::string_view> known;
  for (const List& list : kLists) {
    if (list.name == name) return list.table();
    known.push_back(list.name);
  }
  throw Error("{}", unknown_name("list", name, known));
}

}  // namespace

Command add_list(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("list", "List experiments, re-weightings, attentions, theorem checks, options");
  auto what = std::make_shared<std::string>();
  auto as_markdown = std::make_shared<bool>(false);
  auto as_json = std::make_shared<bool>(false);
  command->add_option("what", *what, "experiments, reweightings, attentions, checks or options")
      ->type_name("")
      ->required();
  CLI::Option* flag = command->add_flag("--markdown", *as_markdown, "Print a Markdown table");
  command->add_flag("--json", *as_json, "Print a JSON list, one object a row")->excludes(flag);
  command->footer(
      "Examples:\n"
      "  polariscope list experiments\n"
      "  polariscope list reweightings --markdown\n"
      "  polariscope list attentions --json");
  return [=] {
    const Rows rows = table_of(*what);
    fmt::print("{}", *as_json ? json(rows) : *as_markdown ? markdown(rows) : aligned_table(rows));
    return 0;
  };
}

}  // namespace polariscope::cli
