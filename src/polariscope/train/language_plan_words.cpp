#include "polariscope/base/terminal.h"
#include "polariscope/train/language_plan.h"

#include <fmt/format.h>

#include <cmath>

namespace polariscope::train {
namespace {

std::string in_powers(double number, std::string_view unit, std::initializer_list<std::string_view> powers) {
  auto power = powers.begin();
  while (number >= 999.5 && power + 1 != powers.end()) {
    number /= 1000.0;
    ++power;
  }
  return fmt::format("{} {}{}", significant(number, 3), *power, unit);
}

std::string counted_numbers(double number) {
  return number < 1e6 ? fmt::format("{:.0f}", number) : in_powers(number / 1e6, "", {"million", "billion", "trillion"});
}
std::string bytes(double number) { return in_powers(number / 1e6, "B", {"M", "G", "T", "P"}); }

std::string brief(double seconds) {
  return seconds < 1.0 ? fmt::format("{} ms", significant(1000.0 * seconds, 3)) : duration(seconds);
}

// The fewest parts of the batch of which one fits; 0 where none does.
std::int64_t fitting_parts(const LanguagePlan& plan, double present) {
  for (std::int64_t parts = plan.accumulation; parts <= plan.batch; ++parts) {
    if (plan.batch % parts == 0 && plan.memory(parts).all() <= present) return parts;
  }
  return 0;
}

std::string memory_in_words(const LanguagePlan& plan, double present) {
  const MemoryPlan memory = plan.memory(plan.accumulation);
  std::string text = fmt::format(
      "weights {}, gradients {}, the moments of {} {}, activations {}, logits {}: {} in all, where this machine has {}",
      bytes(memory.weights), bytes(memory.gradients), plan.optimiser, bytes(memory.moments), bytes(memory.activations),
      bytes(memory.logits), bytes(memory.all()), bytes(present));
  if (memory.all() <= present) return text;
  if (const std::int64_t parts = fitting_parts(plan, present); parts > 0) {
    return text + fmt::format("; with an accumulation of {} it is {}", parts, bytes(plan.memory(parts).all()));
  }
  return text + fmt::format("; with an accumulation of {} it is {}, which does not fit either", plan.batch,
                            bytes(plan.memory(plan.batch).all()));
}

}  // namespace

std::string in_words(const LanguagePlan& plan, double present, int threads) {
  const double step = plan.seconds_of_step();
  const auto row = [](std::string_view name, const std::string& text) { return fmt::format("{:<12}{}\n", name, text); };
  return row("parameters",
             fmt::format("{} ({})", counted_numbers(static_cast<double>(plan.parameters)), plan.parameters)) +
         row("memory", memory_in_words(plan, present)) +
         row("tokens", fmt::format("{}: {} steps of {} sequences of {}; {} different ones{}",
                                   counted_numbers(plan.tokens()), plan.steps, plan.batch, plan.context,
                                   plan.vocabulary, plan.has_data ? "" : ", as the model has them: there is no data")) +
         row("time",
             fmt::format("about {}, {} a step, on {} thread{}", long_duration(step * static_cast<double>(plan.steps)),
                         step < 1.0 ? brief(step) : long_duration(step), threads, threads == 1 ? "" : "s")) +
         row("measured",
             fmt::format("forward and back {}, the optimiser {}: of the first two layers, at their real width, "
                         "over {} sequence{} of {}; and the memory that the second keeps",
                         brief(plan.two_layers.pass), brief(plan.two_layers.update), plan.measured_sequences,
                         plan.measured_sequences == 1 ? "" : "s", plan.context)) +
         row("multiplied",
             fmt::format("time by what {} layers and the head multiply beside those two, memory by layers, both "
                         "by the {} sequences of a step{}",
                         plan.layers, plan.batch,
                         plan.accumulation > 1 ? fmt::format(", taken in {} parts", plan.accumulation) : ""));
}

}  // namespace polariscope::train
