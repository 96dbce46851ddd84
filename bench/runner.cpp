#include "bench/runner.h"

#include "bench/fma_peak.h"
#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/names.h"
#include "polariscope/base/parallel.h"
#include "polariscope/base/terminal.h"
#include "polariscope/base/version.h"

#include <CLI/CLI.hpp>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <filesystem>

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

std::vector<Row> run(const Case& one, const Settings& settings) {
  fmt::print(stderr, "{}: {}\n", one.name, one.summary);
  if (one.needs_peer && !settings.obstacle.empty()) return {skipped_row(one.name, settings.obstacle)};
  return one.run(settings);
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

nlohmann::json record_of(std::vector<Row> rows, const Settings& settings) {
  nlohmann::json record{
      {"machine", machine()}, {"simd", vector_target()},     {"processors", processor_count()}, {"date", date()},
      {"commit", commit()},   {"repeats", settings.repeats}, {"cases", nlohmann::json::array()}};
  for (Row& row : rows) {
    row.numbers.update(
        {{"name", row.name}, {"target", row.target}, {"verdict", verdict_name(row.verdict)}, {"note", row.note}});
    record["cases"].push_back(std::move(row.numbers));
  }
  return record;
}

int run_parsed(const Benchmark& benchmark, int argc, char** argv) {
  std::vector<std::string_view> names;
  for (const Case& one : benchmark.cases) names.emplace_back(one.name);

  CLI::App app(benchmark.title, fmt::format("bench_{}", benchmark.name));
  std::string json_path;
  std::vector<std::string> chosen;
  Settings settings;
  bool accept = false;
  app.add_option("--case", chosen, fmt::format("only this case, may be repeated: {}", fmt::join(names, ", ")))
      ->type_name("NAME");
  app.add_option("--repeats", settings.repeats, "pairs of runs, ours and the peer's in turn; the median counts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  if (benchmark.threaded) {
    app.add_option("--threads", settings.threads, "threads of ours and of the peer")
        ->check(CLI::Range(1, 4096))
        ->capture_default_str();
  }
  app.add_option("--json", json_path, "write the numbers to this file as well")->type_name("FILE");
  if (!benchmark.accepted.empty()) {
    app.add_flag("--accept", accept, "keep the numbers of a whole run in " + benchmark.accepted);
  }
  app.footer(benchmark.examples);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  for (const std::string& name : chosen) {
    if (std::find(names.begin(), names.end(), name) == names.end())
      throw Error("{}", unknown_name("case", name, names));
  }
  if (accept && !chosen.empty()) throw Error("--accept keeps the numbers of all cases: leave --case out");

  fmt::print("{} · {} · {} · commit {}\n", machine(), vector_target(), date(), commit());
  fmt::print("{}; medians (± half the distance between the quartiles)\n", benchmark.reading);
  std::fflush(stdout);
  settings.obstacle = benchmark.obstacle();
  std::vector<Row> rows;
  for (const Case& one : benchmark.cases) {
    if (!chosen.empty() && std::find(chosen.begin(), chosen.end(), one.name) == chosen.end()) continue;
    for (Row& row : run(one, settings)) rows.push_back(std::move(row));
  }
  print(rows);

  const std::string text = record_of(rows, settings).dump(2) + "\n";
  if (!json_path.empty()) write_file(json_path, text);
  if (accept) {
    for (const Row& row : rows) {
      if (row.verdict == Verdict::kSkipped) throw Error("nothing is accepted: {} was skipped, {}", row.name, row.note);
    }
    const std::filesystem::path path = std::filesystem::path(POLARISCOPE_SOURCES) / benchmark.accepted;
    make_folder(path.parent_path());
    write_file(path, text);
  }
  return 0;
}

}  // namespace

Verdict verdict(bool met) { return met ? Verdict::kMet : Verdict::kMissed; }

Row skipped_row(std::string name, std::string reason) {
  Row row{.name = std::move(name),
          .ours = "",
          .peer = "",
          .ratio = "",
          .target = "",
          .note = std::move(reason),
          .numbers = nlohmann::json::object()};
  row.verdict = Verdict::kSkipped;
  return row;
}

int run_benchmark(const Benchmark& benchmark, int argc, char** argv) {
  try {
    return run_parsed(benchmark, argc, argv);
  } catch (const Error& error) {
    fmt::print(stderr, "bench_{}: {}\n", benchmark.name, error.what());
    return 2;
  }
}

}  // namespace polariscope::bench
