// ./dev bench tasks: how long examples take to be drawn. How to read it: docs/benchmarks.md.
#include "bench/measure.h"
#include "bench/runner.h"
#include "polariscope/tasks/in_context_regression.h"
#include "polariscope/tasks/induction.h"
#include "polariscope/tasks/token_groups.h"

#include <fmt/format.h>

#include <functional>
#include <string>
#include <vector>

namespace polariscope::bench {
namespace {

// `target` seconds; 0 for none.
Row row_of(const char* name, const Settings& settings, double target, const std::function<void()>& fill) {
  fill();
  std::vector<double> seconds;
  for (int i = 0; i < settings.repeats; ++i) seconds.push_back(processor_seconds_of(fill));
  const Summary ours = summary(seconds);
  return {.name = name,
          .ours = seconds_text(ours),
          .peer = "",
          .ratio = "",
          .target = target > 0.0 ? fmt::format("≤ {:g} ms", 1e3 * target) : "",
          .verdict = target > 0.0 ? verdict(ours.median <= target) : Verdict::kNoTarget,
          .note = "",
          .numbers = {{"ours_seconds", to_json(ours)}}};
}

constexpr std::int64_t kSequences = 100'000;
constexpr double kSequencesTarget = 0.05;

template <class Task>
std::vector<Row> run_sequences(const char* name, const Task& task, std::int64_t targets_each,
                               const Settings& settings) {
  std::vector<std::int64_t> tokens(kSequences * task.input_length()), targets(kSequences * targets_each);
  return {row_of(name, settings, kSequencesTarget,
                 [&] { task.fill(0, kSequences, std::span(tokens), std::span(targets)); })};
}

std::vector<Row> run_induction(const Settings& settings) {
  const tasks::Induction task({}, 1, tasks::Split::kTraining);
  return run_sequences("induction", task, task.input_length(), settings);
}

std::vector<Row> run_token_groups(const Settings& settings) {
  return run_sequences("token-groups", tasks::TokenGroups({}, 1, tasks::Split::kTraining), 1, settings);
}

std::vector<Row> run_regression(const Settings& settings) {
  constexpr std::int64_t kBatch = 4000;
  const tasks::InContextRegression task({}, 1, tasks::Split::kTraining);
  std::vector<float> tokens(kBatch * task.tokens() * task.width()), targets(kBatch);
  return {row_of("regression", settings, 0.0, [&] { task.fill(0, kBatch, tokens, targets); })};
}

const std::vector<Case>& cases() {
  static const std::vector<Case> kCases{
      {"induction", "100,000 sequences of 13 tokens", false, run_induction},
      {"token-groups", "100,000 sequences of 10 tokens and CLS", false, run_token_groups},
      {"regression", "a batch of 4000 examples of 20 tokens", false, run_regression},
  };
  return kCases;
}

}  // namespace
}  // namespace polariscope::bench

int main(int argc, char** argv) {
  using namespace polariscope::bench;
  const Benchmark tasks{.name = "tasks",
                        .title = "How long examples take to be drawn.",
                        .reading = "one thread and its processor time",
                        .examples =
                            "Examples:\n"
                            "  ./dev bench tasks\n"
                            "  ./dev bench tasks --case induction --repeats 21",
                        .cases = cases(),
                        .obstacle = [] { return std::string(); }};
  return run_benchmark(tasks, argc, argv);
}
