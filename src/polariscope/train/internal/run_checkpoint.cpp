#include "polariscope/train/internal/run_checkpoint.h"

#include "polariscope/base/error.h"
#include "polariscope/runs/run_folder.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <span>
#include <string_view>
#include <system_error>

namespace polariscope::train {
namespace {

// Those of version 0.1.0 have neither alarms nor config; those of a run that was never rescued no rescues.
constexpr const char *kAlarms = "alarms", *kConfig = "config", *kTurns = "rescues", *kAnswered = "answered_alarms",
                     *kStep = "step";

// -1 where the file has no such whole number.
std::int64_t number_in(const Safetensors& file, const char* name) {
  const std::string word = word_of(file, name);
  std::int64_t number = -1;
  const auto [rest, failure] = std::from_chars(word.data(), word.data() + word.size(), number);
  return failure == std::errc() && rest == word.data() + word.size() ? number : -1;
}

StoredTensor stored(const char* name, const std::vector<std::int64_t>& shape, std::span<const double> numbers) {
  return {.name = name, .dtype = Dtype::kF64, .shape = shape, .bytes = std::as_bytes(numbers)};
}

constexpr std::size_t kTurnNumbers = 3;

std::vector<double> numbers_of(const Course& course) {
  std::vector<double> numbers;
  for (const Course::Turn& turn : course.turns()) {
    numbers.insert(numbers.end(), {static_cast<double>(turn.after), turn.factor, static_cast<double>(turn.skipped)});
  }
  return numbers;
}

// Of numbers that a double holds exactly.
bool is_count(double number) {
  constexpr double kMost = 9e15;
  return number >= 0.0 && number <= kMost && number == std::floor(number);
}

Course course_of(std::span<const double> numbers) {
  Course course;
  for (std::size_t i = 0; i + kTurnNumbers <= numbers.size(); i += kTurnNumbers) {
    const double after = numbers[i], factor = numbers[i + 1], skipped = numbers[i + 2];
    if (!is_count(after) || !is_count(skipped) || !(factor > 0.0 && factor <= 1.0)) {
      throw Error("its rescue {} is damaged", i / kTurnNumbers + 1);
    }
    course.turn(
        {.after = static_cast<std::int64_t>(after), .factor = factor, .skipped = static_cast<std::int64_t>(skipped)});
  }
  return course;
}

RunState state_of(const Safetensors& file, std::int64_t steps) {
  RunState state{.step = number_in(file, kStep)};
  if (state.step < 0 || state.step > steps) throw Error("it is of no step from 0 to {}", steps);
  if (const StoredTensor* alarms = file.find(kAlarms)) state.alarms = to_doubles(*alarms);
  if (const StoredTensor* turns = file.find(kTurns)) {
    state.course = course_of(to_doubles(*turns));
    state.answered = number_in(file, kAnswered);
    if (state.answered < 0) throw Error("it does not say how many alarms its rescues answered");
  }
  return state;
}

}  // namespace

void write_run_checkpoint(const std::filesystem::path& path, Checkpoint checkpoint, const RunState& state,
                          const std::string& config) {
  const std::vector<double> turns = numbers_of(state.course);
  checkpoint.tensors.push_back(stored(kAlarms, {std::ssize(state.alarms)}, state.alarms));
  if (!turns.empty()) {
    checkpoint.tensors.push_back(stored(kTurns, {std::ssize(state.course.turns()), kTurnNumbers}, turns));
    checkpoint.metadata[kAnswered] = fmt::format("{}", state.answered);
  }
  if (!config.empty()) checkpoint.metadata[kConfig] = config;
  checkpoint.metadata[kStep] = fmt::format("{}", state.step);
  write_safetensors(path, checkpoint.tensors, checkpoint.metadata);
}

RunState restore_run(Trainable& training, const std::filesystem::path& path, const std::string& config) {
  if (!std::filesystem::exists(path)) return {};
  const Safetensors file(path);
  try {
    const std::string kept = word_of(file, kConfig);
    if (const auto lines = runs::first_difference(kept, config); lines && !kept.empty()) {
      throw Error("it is of one with \"{}\" where this one has \"{}\"", lines->first, lines->second);
    }
    RunState state = state_of(file, training.steps());
    if (!state.course.turns().empty()) training.set_course(state.course);
    training.restore(file, state.step);
    return state;
  } catch (const Error& error) {
    throw Error("{} is no checkpoint of this run: {}", path.string(), error.what());
  }
}

}  // namespace polariscope::train
