// Alarms: do they announce the trainings that explode, before the loss does, and leave the others alone?
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/lipschitz/alarm_runs.h"
#include "polariscope/experiments/shared/measure.h"
#include "polariscope/experiments/shared/readings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

namespace polariscope::experiments {
namespace {

// What the claims ask for.
constexpr double kMostShare = 0.9, kBeforeLossShare = 0.75, kFalseShare = 0.1;
constexpr double kEarlySteps = 20.0;

using Runs = std::vector<AlarmRun>;

std::vector<std::string> forms_of(const Runs& runs) {
  std::vector<std::string> forms;
  for (const AlarmRun& run : runs) {
    if (std::ranges::find(forms, run.form()) == forms.end()) forms.push_back(run.form());
  }
  return forms;
}

Runs of_form(const Runs& runs, const std::string& form) {
  Runs found;
  std::ranges::copy_if(runs, std::back_inserter(found), [&](const AlarmRun& run) { return run.form() == form; });
  return found;
}

// Steps between the first alarm and the first number that is not finite; of the loss: until the loss shows it.
std::vector<double> leads(const Runs& runs, bool of_loss, std::optional<runs::AlarmKind> kind = {}) {
  std::vector<double> steps;
  for (const AlarmRun& run : runs) {
    if (!run.announced() || (kind && run.alarm->kind != *kind)) continue;
    steps.push_back(static_cast<double>((of_loss ? run.shown : run.end()) - run.alarm->step));
  }
  return steps;
}

std::string false_alarms_of(const Runs& runs) {
  std::vector<std::string> words;
  for (const std::string& form : forms_of(runs)) {
    const AlarmCounts counts = counts_of(of_form(runs, form));
    if (counts.false_alarms > 0) words.push_back(fmt::format("{} {} of {}", form, counts.false_alarms, counts.others));
  }
  return words.empty() ? "" : fmt::format(" ({})", fmt::join(words, "; "));
}

std::string by_kind(const Runs& runs) {
  std::vector<std::string> words;
  for (const runs::AlarmKind kind : {runs::AlarmKind::kCollapse, runs::AlarmKind::kRunaway}) {
    words.push_back(fmt::format("{}: {} steps before the first number that is not finite, {} before the loss",
                                runs::alarm_kind_name(kind), in_words(spread_of(leads(runs, false, kind)), "runs"),
                                in_words(spread_of(leads(runs, true, kind)), "runs")));
  }
  return fmt::format("{}", fmt::join(words, "; "));
}

std::vector<report::Claim> claims_of(const Runs& runs) {
  const AlarmCounts all = counts_of(runs);
  const std::string shows = fmt::format("a loss above {} times the median of those before it", kShownFactor);
  const Spread collapse = spread_of(leads(runs, true, runs::AlarmKind::kCollapse));
  return {
      claim_of_count(
          "B.alarm/announced", "Most explosions are announced.", "ours",
          fmt::format("an alarm before the first loss or gradient that is not finite, in {} of the trainings "
                      "that explode at least",
                      kMostShare),
          all.announced, all.exploded, "explosions", all.recall() >= kMostShare, "leads"),
      claim_of_count("B.alarm/before-loss", "The alarm comes before the loss shows it.", "ours",
                     fmt::format("an alarm before the first step with {}, in {} of the trainings that explode at least",
                                 shows, kBeforeLossShare),
                     all.before_loss, all.exploded, "explosions", all.recall_before_loss() >= kBeforeLossShare,
                     "loss-leads"),
      claim("B.alarm/collapse-early", "Where attention collapses before it explodes, the loss shows it much later.",
            "ours",
            fmt::format("median over the explosions whose first alarm is a collapse: alarm at least {} steps before {}",
                        kEarlySteps, shows),
            collapse, "explosions", collapse.median >= kEarlySteps, "loss-leads"),
      claim_of_count("B.alarm/left-alone", "Trainings that do not explode are left alone.", "ours",
                     fmt::format("an alarm in at most {} of them", kFalseShare), all.others - all.false_alarms,
                     all.others, "trainings without an alarm",
                     static_cast<double>(all.false_alarms) <= kFalseShare * static_cast<double>(all.others),
                     "threshold")};
}

report::Figure lead_figure(const Runs& runs, bool of_loss) {
  report::CategoryChart chart{.x = {of_loss ? "steps before the loss" : "steps before the end",
                                    of_loss ? report::Scale::kSymlog : report::Scale::kLog},
                              .categories = {},
                              .low = {},
                              .high = {},
                              .references = {}};
  if (of_loss) chart.references = {{"at once", 0.0}};
  for (const std::string& form : forms_of(runs)) {
    const Runs of = of_form(runs, form);
    const AlarmCounts counts = counts_of(of);
    if (counts.exploded == 0) continue;
    const long long in_time = of_loss ? counts.before_loss : counts.announced;
    chart.categories.push_back(
        {.name = fmt::format("{} · {} of {}", form, in_time, counts.exploded), .values = leads(of, of_loss)});
  }
  const std::string title = of_loss ? "How long before the loss" : "How long before the end";
  return {.id = of_loss ? "loss-leads" : "leads",
          .title = title,
          .caption = of_loss
                         ? "From the first alarm to the step where the loss shows it; one dot an explosion that was "
                           "announced. Left of 0 the loss showed it first; beside each layer form: how many it did "
                           "not, of its explosions."
                         : fmt::format("From the first alarm to the first number that is not finite; one dot an "
                                       "explosion that was announced. Beside each layer form: how many were. {}.",
                                       by_kind(runs)),
          .alternative = title + " the first alarm came, one dot a training, by layer form.",
          .spec = report::category_chart(chart),
          .table = report::table_of(chart)};
}

// One number of every layer against the steps, and the first alarm as an upright line.
report::Panel panel_of(const AlarmRun& run, const std::string& title, report::Axis y,
                       const std::function<std::vector<double>(const runs::WatchedStep&)>& of, report::Table& table) {
  report::SeriesChart chart{.x = {"step"}, .y = std::move(y), .series = {}, .references = {}};
  const std::size_t lines = of(run.steps.front()).size();
  double low = INFINITY, high = -INFINITY;
  for (std::size_t line = 0; line < lines; ++line) {
    report::Series series{.name = lines == 1 ? title : fmt::format("layer {}", line + 1),
                          .x = {},
                          .y = {},
                          .low = {},
                          .high = {},
                          .colour = ""};
    for (const runs::WatchedStep& step : run.steps) {
      const double value = of(step)[line];
      series.x.push_back(static_cast<double>(step.step));
      series.y.push_back(value);
      if (!std::isfinite(value)) continue;
      low = std::min(low, value);
      high = std::max(high, value);
    }
    table.columns.push_back({lines == 1 ? title : fmt::format("{}, layer {}", title, line + 1), series.y});
    chart.series.push_back(std::move(series));
  }
  if (run.alarm) {
    const auto at = static_cast<double>(run.alarm->step);
    chart.series.push_back(
        {.name = "alarm", .x = {at, at}, .y = {low, high}, .low = {}, .high = {}, .colour = "", .dashed = true});
  }
  return {title, report::series_chart(chart)};
}

report::Figure run_figure(const AlarmRun& run, std::string id, std::string title, std::string caption) {
  report::Table table;
  std::vector<double> steps;
  for (const runs::WatchedStep& step : run.steps) steps.push_back(static_cast<double>(step.step));
  table.columns.push_back({"step", std::move(steps)});
  const auto heads = [](double runs::HeadReading::*member, double unit) {
    return [=](const runs::WatchedStep& step) {
      std::vector<double> values;
      for (const runs::HeadReading& head : step.readings) values.push_back(head.*member / unit);
      return values;
    };
  };
  const std::vector<report::Panel> all{
      panel_of(run, "relative entropy", {"H / log N"}, heads(&runs::HeadReading::entropy, run.shape.uniform_entropy),
               table),
      panel_of(run, "logit variance", {"Var z", report::Scale::kLog}, heads(&runs::HeadReading::logit_variance, 1.0),
               table),
      panel_of(
          run, "gradient norm", {"‖∇L‖", report::Scale::kLog},
          [](const runs::WatchedStep& step) { return std::vector{step.gradient_norm}; }, table),
      panel_of(
          run, "loss", {"loss", report::Scale::kLog},
          [](const runs::WatchedStep& step) { return std::vector{step.loss}; }, table)};
  caption += run.alarm ? fmt::format(" The dashed line: step {}, {}.", run.alarm->step, in_words(*run.alarm))
                       : std::string(" No alarm was given.");
  if (run.shown > 0) caption += fmt::format(" The loss shows it at step {}.", run.shown);
  return {.id = std::move(id),
          .title = std::move(title),
          .caption = std::move(caption),
          .alternative = "Relative entropy and logit variance of every layer, gradient norm and loss against steps.",
          .spec = report::panels(all, 2, true),
          .table = std::move(table)};
}

std::string named(const AlarmRun& run) {
  const auto& s = run.run.settings;
  return fmt::format("{}, learning rate {}, batch {}, seed {}", run.form(), s.value("learning_rate", 0.0),
                     s.value("batch", 0), s.value("seed", 0));
}

// The explosion of median lead over the loss, so that neither the best nor the worst is shown.
const AlarmRun* typical_explosion(const Runs& runs) {
  std::vector<const AlarmRun*> found;
  for (const AlarmRun& run : runs) {
    if (run.announced() && run.alarm->kind == runs::AlarmKind::kCollapse) found.push_back(&run);
  }
  if (found.empty()) {
    for (const AlarmRun& run : runs) {
      if (run.announced()) found.push_back(&run);
    }
  }
  std::ranges::sort(found, {}, [](const AlarmRun* run) { return run->shown - run->alarm->step; });
  return found.empty() ? nullptr : found[found.size() / 2];
}

// The first false alarm; without one, the training with the largest logit variance of those that do not explode.
const AlarmRun* hardest_other(const Runs& runs) {
  const AlarmRun* hardest = nullptr;
  double most = -1.0;
  for (const AlarmRun& run : runs) {
    if (run.exploded) continue;
    if (run.alarm) return &run;
    for (const runs::HeadReading& head : run.steps.back().readings) {
      if (head.logit_variance > most) {
        most = head.logit_variance;
        hardest = &run;
      }
    }
  }
  return hardest;
}

report::Figure threshold_figure(const Runs& runs) {
  constexpr std::array kVariances{1e1, 1e2, 3e2, 1e3, 3e3, 1e4, 1e5, 1e6};
  std::vector<double> recall, before_loss, precision;
  const std::vector<double> x(kVariances.begin(), kVariances.end());
  for (const double variance : kVariances) {
    runs::AlarmThresholds thresholds;
    thresholds.collapse_variance = variance;
    const AlarmCounts counts = counts_with(runs, thresholds);
    recall.push_back(counts.recall());
    before_loss.push_back(counts.recall_before_loss());
    precision.push_back(counts.precision());
  }
  report::SeriesChart chart{.x = {"logit variance that a collapse needs", report::Scale::kLog},
                            .y = {"share"},
                            .series = {},
                            .references = {}};
  chart.series.push_back({.name = "recall", .x = x, .y = recall, .low = {}, .high = {}, .colour = ""});
  chart.series.push_back(
      {.name = "recall before the loss", .x = x, .y = before_loss, .low = {}, .high = {}, .colour = ""});
  chart.series.push_back({.name = "precision", .x = x, .y = precision, .low = {}, .high = {}, .colour = ""});
  return chart_figure("threshold", "What the threshold on the variance decides",
                      fmt::format("Recall: announced of the explosions. Precision: explosions of the trainings with an "
                                  "alarm. The detector's threshold is {}, set on other trainings; all others are kept.",
                                  runs::AlarmThresholds{}.collapse_variance),
                      "Recall and precision of the alarms against the logit variance that a collapse needs.", chart);
}

report::Section run(const Context& context) {
  const TrainedRuns trained(context);
  const Runs runs = alarm_runs(trained);
  const AlarmCounts all = counts_of(runs);
  report::Section section;
  section.method = fmt::format(
      "A detector reads entropy, ‖P‖_F and logit variance of every layer and the gradient norm of each step, and says "
      "collapse or runaway (docs/alarms.md); here it reads the logs of trainings of in-context regression, {} of which "
      "explode and {} do not, with seeds, batch sizes and learning rates that its thresholds were not set on. A false "
      "alarm is one in a training that does not explode within its steps. {}",
      all.exploded, all.others, trained.count_in_words());
  const auto under_way = std::ranges::count_if(
      runs, [](const AlarmRun& run) { return !run.exploded && run.alarm && run.shown > run.alarm->step; });
  section.findings = fmt::format(
      "{} of {} explosions announced, {} of them before the loss shows it. {} of {} other trainings with an alarm{}, "
      "in "
      "{} of which the loss doubles later on. By kind of the first alarm: {}.",
      all.announced, all.exploded, all.before_loss, all.false_alarms, all.others, false_alarms_of(runs), under_way,
      by_kind(runs));
  section.claims = claims_of(runs);
  section.figures = {lead_figure(runs, false), lead_figure(runs, true)};
  if (const AlarmRun* found = typical_explosion(runs)) {
    section.figures.push_back(run_figure(*found, "explosion", "An explosion and its alarm",
                                         fmt::format("Of median lead over the loss: {}.", named(*found))));
  }
  if (const AlarmRun* found = hardest_other(runs)) {
    section.figures.push_back(
        run_figure(*found, "other", found->alarm ? "A false alarm" : "The hardest to leave alone",
                   fmt::format("Does not explode within {} steps: {}.", found->end(), named(*found))));
  }
  if (!runs.empty()) section.figures.push_back(threshold_figure(runs));
  section.configuration = configuration_of(trained);
  section.runs = links_of(trained.done());
  return section;
}

}  // namespace

Experiment b_alarm() {
  return {.id = "B.alarm",
          .title = "Alarms before the loss",
          .source = "Ours, on the Lipschitz paper's in-context regression",
          .question = "Does watching entropy, scores and gradients tell of an explosion before the loss does?",
          .trainings = "regression-alarm",
          .run = run};
}

}  // namespace polariscope::experiments
