// What every benchmark of ./dev bench shares: its cases, its options, its table and its file of numbers.
#pragma once

#include <nlohmann/json.hpp>

#include <functional>
#include <string>
#include <vector>

namespace polariscope::bench {

enum class Verdict { kMet, kMissed, kNoTarget, kSkipped };
Verdict verdict(bool met);

// One line of the table. `numbers` holds the same unrounded, for --json.
struct Row {
  std::string name, ours, peer, ratio, target;
  Verdict verdict = Verdict::kNoTarget;
  std::string note;  // what else is to be known; a line below the table
  nlohmann::json numbers;
};

Row row_named(std::string name);
Row skipped_row(std::string name, std::string reason);

struct Settings {
  int repeats = 7;
  int threads = 1;
  std::string obstacle;  // why no peer can run, "" where it can
};

struct Case {
  const char* name;
  const char* summary;
  bool needs_peer;  // skipped as a whole where there is none
  std::vector<Row> (*run)(const Settings& settings);
};

struct Benchmark {
  const char* name;  // "flow": bench_flow
  const char* title;
  const char* reading;  // a line above the table: what its numbers are
  const char* examples;
  const std::vector<Case>& cases;
  std::function<std::string()> obstacle;
  bool threaded = false;         // has --threads
  int threads = 1, repeats = 7;  // where the command line says nothing
};

// Parses, runs, prints, beside the run that was accepted last; the process's exit code. A missed target is a failure
// under --check alone.
int run_benchmark(const Benchmark& benchmark, int argc, char** argv);

}  // namespace polariscope::bench
