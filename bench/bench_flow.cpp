// ./dev bench flow: how fast the flow is, each case beside its peer. How to read it: docs/benchmarks.md.
#include "bench/child.h"
#include "bench/flow_cases.h"
#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/names.h"
#include "polariscope/base/parallel.h"
#include "polariscope/base/terminal.h"
#include "polariscope/base/version.h"
#include "polariscope/flow/internal/kernels.h"

#include <CLI/CLI.hpp>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <string>
#include <vector>

namespace polariscope::bench {
namespace {

std::string date() { return fmt::format("{:%Y-%m-%d %H:%M} UTC", fmt::gmtime(std::time(nullptr))); }

std::string verdict_text(Verdict verdict) {
  const bool colour = wants_colour(stdout);
  switch (verdict) {
    case Verdict::kMet: return coloured("met", Colour::kGreen, colour);
    case Verdict::kMissed: return coloured("missed", Colour::kRed, colour);
    case Verdict::kSkipped: return coloured("skipped", Colour::kYellow, colour);
    case Verdict::kNoTarget: break;
  }
  return "";
}

std::string verdict_name(Verdict verdict) {
  constexpr const char* kNames[] = {"met", "missed", "no target", "skipped"};
  return kNames[static_cast<int>(verdict)];
}

std::vector<Row> run(const Case& one, int repeats, const std::string& obstacle) {
  fmt::print(stderr, "{}: {}\n", one.name, one.summary);
  if (!one.needs_peer || obstacle.empty()) return one.run(repeats);
  Row skipped{.name = one.name, .ours = "", .peer = "", .ratio = "", .target = "", .note = obstacle, .numbers = {}};
  skipped.verdict = Verdict::kSkipped;
  return {skipped};
}

std::string closing_line(const std::vector<Row>& rows) {
  std::vector<std::string> missed, skipped;
  for (const Row& row : rows) {
    if (row.verdict == Verdict::kMissed) missed.push_back(row.name);
    if (row.verdict == Verdict::kSkipped) skipped.push_back(row.name);
  }
  std::string line =
      missed.empty() ? "every target that was measured is met" : fmt::format("not met: {}", fmt::join(missed, ", "));
  if (!skipped.empty()) line += fmt::format("; skipped: {}", fmt::join(skipped, ", "));
  return line;
}

void print(const std::vector<Row>& rows) {
  std::vector<std::vector<std::string>> table{{"case", "ours", "peer", "ratio", "target", ""}};
  for (const Row& row : rows) {
    table.push_back({row.name, row.ours, row.peer, row.ratio, row.target, verdict_text(row.verdict)});
  }
  fmt::print("\n{}\n", aligned_table(table, 140));
  for (const Row& row : rows) {
    if (!row.note.empty()) fmt::print("{}: {}\n", row.name, row.note);
  }
  fmt::print("\n{}\n", closing_line(rows));
}

int bench_flow(int argc, char** argv) {
  std::vector<std::string_view> names;
  for (const Case& one : flow_cases()) names.emplace_back(one.name);

  CLI::App app("How fast the flow is, each case beside its peer in the same run.", "bench_flow");
  std::string json_path;
  std::vector<std::string> chosen;
  int repeats = 7;
  app.add_option("--case", chosen, fmt::format("only this case, may be repeated: {}", fmt::join(names, ", ")))
      ->type_name("NAME");
  app.add_option("--repeats", repeats, "pairs of runs, ours and the peer's in turn; the median counts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--json", json_path, "write the numbers to this file as well")->type_name("FILE");
  app.footer(
      "Examples:\n"
      "  ./dev bench flow\n"
      "  ./dev bench flow --case trajectory --repeats 21\n"
      "  ./dev bench flow --case ensemble --case horizon --json flow.json");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  for (const std::string& name : chosen) {
    if (std::find(names.begin(), names.end(), name) == names.end())
      throw Error("{}", unknown_name("case", name, names));
  }

  fmt::print("{} · {} · {} · commit {}\n", machine(), simd_target(), date(), commit());
  fmt::print(
      "one thread and its processor time, but for the catalogue; medians (± half the distance between the "
      "quartiles)\n");
  std::fflush(stdout);
  const std::string obstacle = peer_obstacle();
  std::vector<Row> rows;
  for (const Case& one : flow_cases()) {
    if (!chosen.empty() && std::find(chosen.begin(), chosen.end(), one.name) == chosen.end()) continue;
    for (Row& row : run(one, repeats, obstacle)) rows.push_back(std::move(row));
  }
  print(rows);

  if (!json_path.empty()) {
    nlohmann::json record{
        {"machine", machine()}, {"simd", simd_target()}, {"processors", processor_count()}, {"date", date()},
        {"commit", commit()},   {"repeats", repeats},    {"cases", nlohmann::json::array()}};
    for (Row& row : rows) {
      row.numbers.update(
          {{"name", row.name}, {"target", row.target}, {"verdict", verdict_name(row.verdict)}, {"note", row.note}});
      record["cases"].push_back(std::move(row.numbers));
    }
    write_file(json_path, record.dump(2) + "\n");
  }
  return 0;
}

}  // namespace
}  // namespace polariscope::bench

int main(int argc, char** argv) {
  try {
    return polariscope::bench::bench_flow(argc, argv);
  } catch (const polariscope::Error& error) {
    fmt::print(stderr, "bench_flow: {}\n", error.what());
    return 2;
  }
}
