#include "polariscope/live/internal/prometheus.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <string_view>

namespace polariscope::live {
namespace {

// All samples of a name stand together, below what it is.
struct Family {
  std::string help, samples;
};
using Families = std::map<std::string, Family>;

std::string label_text(std::string_view value) {
  std::string text;
  for (const char c : value) {
    if (c == '\\' || c == '"') text += '\\';
    if (c == '\n')
      text += "\\n";
    else
      text += c;
  }
  return text;
}

// Of letters, digits and underscores.
std::string family_name(std::string_view name) {
  std::string text = "polariscope_";
  for (const char c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    text += plain ? c : '_';
  }
  return text;
}

std::string number_text(double number) {
  if (std::isnan(number)) return "NaN";
  if (std::isinf(number)) return number > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", number);
}

void add(Families& families, const std::string& name, std::string_view help, const std::string& labels, double value) {
  Family& family = families[name];
  if (family.help.empty()) family.help = help;
  family.samples += fmt::format("{}{{{}}} {}\n", name, labels, number_text(value));
}

void add_log(Families& families, const runs::LoggedStep& step, const std::string& run) {
  for (const runs::LoggedNumber& number : step.numbers) {
    add(families, family_name(number.name), "Of the last step.", run, number.value);
  }
  for (const runs::LoggedHeads& one : step.heads) {
    const std::string name = family_name(one.name);
    for (std::size_t layer = 0; layer < one.values.size(); ++layer) {
      for (std::size_t head = 0; head < one.values[layer].size(); ++head) {
        const std::string labels = fmt::format("{},layer=\"{}\",head=\"{}\"", run, layer + 1, head + 1);
        add(families, name, "Of a head at the last step, counted from 1.", labels, one.values[layer][head]);
      }
    }
  }
}

void add_run(Families& families, const WatchedRun& run) {
  const auto reading = run.reading();
  const RunState& state = reading->state;
  const std::string label = fmt::format("run=\"{}\"", label_text(run.name()));
  const auto of_run = [&](const char* name, const char* help, double value) {
    add(families, std::string("polariscope_run_") + name, help, label, value);
  };
  for (const RunPhase phase : kRunPhases) {
    add(families, "polariscope_run_phase", "1 for the phase that the run is in.",
        fmt::format("{},phase=\"{}\"", label, phase_name(phase)), phase == state.phase ? 1.0 : 0.0);
  }
  of_run("steps_per_second", "Over the last minute.", reading->rate);
  of_run("alarms", "Given so far.", static_cast<double>(reading->alarm_count));
  of_run("rescues", "Times that the run went back.", static_cast<double>(reading->rescue_count));
  of_run("log_written_timestamp_seconds", "When metrics.jsonl last grew.", state.written);
  if (reading->planned > 0) of_run("planned_steps", "Steps of the whole run.", static_cast<double>(reading->planned));
  if (!state.last) return;
  of_run("step", "Steps taken.", static_cast<double>(state.last->step));
  add_log(families, *state.last, label);
}

}  // namespace

std::string prometheus_text(const WatchedRuns& runs) {
  Families families;
  for (const auto& run : runs) add_run(families, *run);
  std::string text;
  for (const auto& [name, family] : families) {
    text += fmt::format("# HELP {} {}\n# TYPE {} gauge\n{}", name, family.help, name, family.samples);
  }
  return text;
}

}  // namespace polariscope::live
