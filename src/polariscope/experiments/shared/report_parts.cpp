#include "polariscope/experiments/shared/report_parts.h"

#include "polariscope/experiments/shared/definitions.h"
#include "polariscope/experiments/shared/training_sweep.h"

#include <chrono>

namespace polariscope::experiments {
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
    section.differences = sentences(section.differences, grid_cuts(experiment.trainings, context.preset));
  }
  section.wall_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  return section;
}

void dress(report::Page& page, std::string title) {
  page.title = std::move(title);
  report::stamp(page);
  page.definitions = definitions();
}

}  // namespace polariscope::experiments
