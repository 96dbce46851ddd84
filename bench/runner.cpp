#include "bench/runner.h"

#include "bench/fma_peak.h"
#include "bench/record.h"
#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/names.h"
#include "polariscope/base/parallel.h"
#include "polariscope/base/terminal.h"
#include "polariscope/base/version.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>

namespace polariscope::bench {
namespace {

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

nlohmann::json record_of(const std::vector<Row>& rows, const Settings& settings) {
  nlohmann::json record{{"machine", machine()},
                        {"simd", vector_target()},
                        {"processors", processor_count()},
                        {"date", now_utc()},
                        {"commit", commit()},
                        {"repeats", settings.repeats},
                        {"threads", settings.threads},
                        {"cases", nlohmann::json::array()}};
  for (const Row& row : rows) {
    nlohmann::json one = row.numbers;
    one.update({{"name", row.name},
                {"target", row.target},
                {"verdict", verdict_name(row.verdict)},
                {"note", row.note},
                {"shown", {{"ours", row.ours}, {"peer", row.peer}, {"ratio", row.ratio}}}});
    record["cases"].push_back(std::move(one));
  }
  return record;
}

// What the column of changes is measured against, a line for below the table.
std::string changes_line(const nlohmann::json& record, const nlohmann::json& accepted) {
  if (accepted.is_null()) return "no run is accepted: nothing to compare with";
  const std::string apart = difference(record, accepted);
  if (!apart.empty()) return "no change is shown: " + apart;
  return fmt::format("change: beside the run accepted on {}, commit {}; above 0 is better",
                     accepted.at("date").get<std::string>(), accepted.at("commit").get<std::string>());
}

void print(const std::vector<Row>& rows, const nlohmann::json& record, const nlohmann::json& accepted) {
  const bool comparable = !accepted.is_null() && difference(record, accepted).empty();
  std::vector<std::vector<std::string>> table{{"case", "ours", "peer", "ratio", "change", "target", ""}};
  for (const Row& row : rows) {
    const std::optional<double> change =
        comparable ? gain(case_named(record, row.name), case_named(accepted, row.name)) : std::nullopt;
    table.push_back({row.name, row.ours, row.peer, row.ratio, change ? fmt::format("{:+.1f} %", 100.0 * *change) : "",
                     row.target, verdict_text(row.verdict)});
  }
  fmt::print("\n{}\n", aligned_table(table, 140));
  for (const Row& row : rows) {
    if (!row.note.empty()) fmt::print("{}: {}\n", row.name, row.note);
  }
  fmt::print("\n{}\n{}\n", closing_line(rows), changes_line(record, accepted));
}

std::filesystem::path accepted_path(const Benchmark& benchmark) {
  return std::filesystem::path(POLARISCOPE_SOURCES) / "bench" / "results" / fmt::format("{}.json", benchmark.name);
}

nlohmann::json accepted_record(const Benchmark& benchmark) {
  const std::filesystem::path path = accepted_path(benchmark);
  return std::filesystem::exists(path) ? nlohmann::json::parse(read_file(path)) : nlohmann::json();
}

// The file of numbers, and the table in the docs that shows it.
void accept(const Benchmark& benchmark, const std::vector<Row>& rows, const nlohmann::json& record) {
  for (const Row& row : rows) {
    if (row.verdict == Verdict::kSkipped) throw Error("nothing is accepted: {} was skipped, {}", row.name, row.note);
  }
  const std::filesystem::path docs = std::filesystem::path(POLARISCOPE_SOURCES) / "docs" / "benchmarks.md";
  const std::string page = with_results(read_file(docs), benchmark.name, markdown(record));
  write_file(accepted_path(benchmark), record.dump(2) + "\n");
  write_file(docs, page);
}

// 1 if a target is missed or speed lost.
int check(const nlohmann::json& record, const nlohmann::json& accepted) {
  const std::vector<std::string> found = failures(record, accepted);
  if (found.empty()) return 0;
  fmt::print(stderr, "check: {}\n", fmt::join(found, "; "));
  return 1;
}

int run_parsed(const Benchmark& benchmark, int argc, char** argv) {
  std::vector<std::string_view> names;
  for (const Case& one : benchmark.cases) names.emplace_back(one.name);

  CLI::App app(benchmark.title, fmt::format("bench_{}", benchmark.name));
  std::string json_path;
  std::vector<std::string> chosen;
  Settings settings{.repeats = benchmark.repeats, .threads = benchmark.threads, .obstacle = ""};
  bool accepts = false, checks = false;
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
  app.add_flag("--accept", accepts,
               fmt::format("keep the numbers of a whole run in bench/results/{}.json", benchmark.name));
  app.add_flag("--check", checks, "exit with 1 if a target is missed or 5 % are lost against the accepted numbers");
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
  if (accepts && !chosen.empty()) throw Error("--accept keeps the numbers of all cases: leave --case out");

  fmt::print("{} · {} · {} · commit {}\n", machine(), vector_target(), now_utc(), commit());
  fmt::print("{}; medians (± half the distance between the quartiles)\n", benchmark.reading);
  std::fflush(stdout);
  settings.obstacle = benchmark.obstacle();
  std::vector<Row> rows;
  for (const Case& one : benchmark.cases) {
    if (!chosen.empty() && std::find(chosen.begin(), chosen.end(), one.name) == chosen.end()) continue;
    for (Row& row : run(one, settings)) rows.push_back(std::move(row));
  }
  const nlohmann::json record = record_of(rows, settings), accepted = accepted_record(benchmark);
  print(rows, record, accepted);
  if (!json_path.empty()) write_file(json_path, record.dump(2) + "\n");
  if (accepts) accept(benchmark, rows, record);
  return checks ? check(record, accepted) : 0;
}

}  // namespace

Verdict verdict(bool met) { return met ? Verdict::kMet : Verdict::kMissed; }

Row row_named(std::string name) {
  return {.name = std::move(name),
          .ours = "",
          .peer = "",
          .ratio = "",
          .target = "",
          .note = "",
          .numbers = nlohmann::json::object()};
}

Row skipped_row(std::string name, std::string reason) {
  Row row = row_named(std::move(name));
  row.note = std::move(reason);
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
