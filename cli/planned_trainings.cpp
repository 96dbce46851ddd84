#include "planned_trainings.h"

#include "polariscope/base/error.h"
#include "polariscope/base/terminal.h"
#include "training_program.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

namespace polariscope::cli {
namespace {

using Words = std::vector<std::string>;

// Runs to its end, and prints where this program prints.
int run_to_end(Words command) {
  std::vector<char*> pointers;
  for (std::string& word : command) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  pid_t process = -1;
  const int failure = posix_spawn(&process, pointers.front(), nullptr, nullptr, pointers.data(), environ);
  if (failure != 0) throw Error("{} cannot be started: {}", command.front(), std::strerror(failure));
  int status = 0;
  waitpid(process, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 130;
}

// Without what changes neither size nor time.
Words configuration(const Words& run) {
  constexpr std::array<std::string_view, 2> kIndifferent{"--seed", "--learning-rate"};
  Words words;
  for (std::size_t i = 0; i + 1 < run.size(); i += 2) {
    if (std::ranges::find(kIndifferent, run[i]) == kIndifferent.end()) words.insert(words.end(), {run[i], run[i + 1]});
  }
  return words;
}

// What one has that not all have.
std::string told_apart(const Words& one, const std::vector<Words>& all) {
  Words words;
  for (std::size_t i = 0; i < one.size(); i += 2) {
    const bool same = std::ranges::all_of(all, [&](const Words& other) {
      return i + 1 < other.size() && other[i] == one[i] && other[i + 1] == one[i + 1];
    });
    if (!same) words.push_back(one[i] + " " + one[i + 1]);
  }
  return fmt::format("{}", fmt::join(words, " "));
}

}  // namespace

int print_planned_trainings(const experiments::ReproduceOptions& options) {
  const std::vector<experiments::PlannedTrainings> all = experiments::planned_trainings(options);
  if (all.empty()) fmt::print("these experiments train nothing\n");
  for (const experiments::PlannedTrainings& one : all) {
    fmt::print("{}\n", one.announcement);
    if (!one.language_models) continue;
    if (!can_train_transformers()) throw Error("{}", kNoTransformers);
    std::vector<Words> configurations;
    for (const Words& run : one.runs) {
      Words words = configuration(run);
      if (std::ranges::find(configurations, words) == configurations.end()) configurations.push_back(std::move(words));
    }
    for (const Words& words : configurations) {
      fmt::print("\n{}\n", told_apart(words, configurations));
      std::fflush(stdout);
      Words command{training_program().string(), "train"};
      command.insert(command.end(), words.begin(), words.end());
      command.emplace_back("--dry-run");
      if (const int code = run_to_end(std::move(command)); code != 0) return code;
    }
  }
  return 0;
}

}  // namespace polariscope::cli
