#include "polariscope/experiments/shared/report_parts.h"

#include "polariscope/base/version.h"
#include "polariscope/experiments/shared/definitions.h"
#include "polariscope/experiments/shared/training_sweep.h"

#include <fmt/format.h>

#include <chrono>
#include <ctime>

namespace polariscope::experiments {
namespace {

std::string now_utc() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm utc{};
  gmtime_r(&now, &utc);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02} UTC", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour,
                     utc.tm_min);
}

}  // namespace

report::Section named_section(const Experiment& experiment, const Context& context) {
  const auto began = std::chrono::steady_clock::now();
  report::Section section = experiment.run(context);
  section.id = experiment.id;
  section.title = experiment.title;
  section.source = experiment.source;
  section.question = experiment.question;
  if (experiment.protocol != nullptr) {
    Context paper = context;
    paper.preset = Preset::kPaper;
    const Quantities quantities = experiment.protocol(context);
    section.configuration = configuration_of(quantities);
    section.differences = sentences(section.differences, cuts(quantities, experiment.protocol(paper)));
  } else if (!context.paper()) {
    section.differences = sentences(section.differences, grid_cuts(experiment.trainings));
  }
  section.wall_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  return section;
}

void dress(report::Page& page, std::string title) {
  page.title = std::move(title);
  page.date = now_utc();
  page.machine = machine();
  page.version = fmt::format("{} ({})", version(), commit());
  page.definitions = definitions();
}

}  // namespace polariscope::experiments
