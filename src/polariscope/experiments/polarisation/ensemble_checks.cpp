#include "polariscope/experiments/polarisation/ensemble_checks.h"

#include "polariscope/base/parallel.h"
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/shared/measure.h"
#include "polariscope/flow/ensemble.h"
#include "polariscope/report/charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace polariscope::experiments {
namespace {

constexpr double kDescentTolerance = 1e-10;
constexpr double kFlowTolerance = 100.0;  // times rtol

}  // namespace

std::string Setting::name() const {
  return fmt::format("{}, {}, k = {}, V₀ = {}·N{}", flow::loss_name(loss), reweighting->name, start.tokens,
                     significant(start.value_scale), along_beta ? " along β" : "");
}

flow::Start Setting::draw(std::uint64_t seed, std::uint64_t trajectory) const {
  flow::Start drawn = flow::random_start(model, loss, *reweighting, start, seed, trajectory);
  if (!along_beta) return drawn;
  const std::vector<double> u = flow::projections(drawn.problem, drawn.state);
  for (int i = 0; i < start.outputs; ++i) {  // ‖β‖ = 1
    for (int j = 0; j < start.tokens; ++j) {
      drawn.state.values[i * start.tokens + j] = drawn.problem.beta[i] * u[j];
    }
  }
  return drawn;
}

std::vector<Setting> settings_of(const Setting& like, std::span<const int> sizes, std::span<const double> scales) {
  std::vector<Setting> settings;
  for (const int size : sizes) {
    for (const double scale : scales) {
      settings.push_back(like);
      settings.back().start.outputs = settings.back().start.tokens = size;
      settings.back().start.value_scale = scale;
    }
  }
  return settings;
}

CheckedEnsemble::CheckedEnsemble(const Context& context, std::vector<std::string_view> checks,
                                 std::int64_t trajectories)
    : context_(context),
      checks_(std::move(checks)),
      progress_(context.progress(static_cast<std::uint64_t>(trajectories), "trajectories")) {
  for (const std::string_view check : checks_) margins_[check];
}

void CheckedEnsemble::add(const std::string& group, const flow::Trajectory& trajectory, double tolerance) {
  for (const std::string_view id : checks_) {
    const flow::CheckResult result = flow::run_check(flow::find_check(id), trajectory, tolerance);
    if (!result.applies) continue;
    violations_ += result.holds() ? 0 : 1;
    const std::lock_guard lock(mutex_);
    margins_.at(id)[group].push_back(result.margin);
  }
  progress_.update(static_cast<std::uint64_t>(++done_), fmt::format("{} violations", violations_.load()));
}

void CheckedEnsemble::descend(std::span<const Setting> settings, std::int64_t each, const flow::DescentOptions& options,
                              const Visit& visit) {
  for (std::size_t s = 0; s < settings.size(); ++s, next_stream_ += each) {
    const std::string group = "descent: " + settings[s].name();
    flow::descend_ensemble([&](std::int64_t i) { return settings[s].draw(context_.seed, next_stream_ + i); },
                           {.trajectories = each, .threads = context_.threads, .descent = options, .progress = {}},
                           [&](std::int64_t i, const flow::Trajectory& trajectory) {
                             add(group, trajectory, kDescentTolerance);
                             if (visit) visit(s, i, trajectory);
                           });
  }
}

void CheckedEnsemble::integrate(std::span<const Setting> settings, std::int64_t each, const flow::FlowOptions& options,
                                const Visit& visit) {
  for (std::size_t s = 0; s < settings.size(); ++s, next_stream_ += each) {
    const std::string group = "flow: " + settings[s].name();
    parallel_for(each, context_.threads, [&](std::int64_t i) {
      const flow::Start start = settings[s].draw(context_.seed, next_stream_ + i);
      const flow::Trajectory trajectory = flow::integrate(start.problem, start.state, options);
      add(group, trajectory, kFlowTolerance * options.rtol);
      if (visit) visit(s, i, trajectory);
    });
  }
}

void CheckedEnsemble::finish() { progress_.finish(fmt::format("{} violations", violations_.load())); }

std::vector<double> CheckedEnsemble::margins(std::string_view check) const {
  std::vector<double> all;
  for (const auto& [group, margins] : margins_.at(check)) all.insert(all.end(), margins.begin(), margins.end());
  std::sort(all.begin(), all.end());
  return all;
}

CheckedEnsemble::Count CheckedEnsemble::count(std::string_view check) const {
  Count count{.worst = std::numeric_limits<double>::quiet_NaN()};
  for (const auto& [group, margins] : margins_.at(check)) {
    for (const double margin : margins) {
      ++count.applied;
      count.violations += margin >= 0.0 ? 0 : 1;  // a margin that is no number is a violation
      count.worst = std::fmin(count.worst, margin);
    }
  }
  return count;
}

report::Claim CheckedEnsemble::claim(std::string_view id, std::string source, std::string evidence) const {
  const flow::Check& check = flow::find_check(id);
  const Count found = count(id);
  return claim_in_words(
      std::string(id), std::string(check.statement), std::move(source),
      fmt::format("no trajectory with a negative margin, where the precondition holds ({})", check.precondition),
      fmt::format("{} of {} trajectories violate it, worst margin {}", counted(found.violations),
                  counted(found.applied), significant(found.worst, 2)),
      spread_of(margins(id)), found.violations == 0 ? report::Verdict::kHolds : report::Verdict::kFails,
      std::move(evidence));
}

report::Figure CheckedEnsemble::figure(std::string id, std::span<const std::string_view> checks) const {
  std::vector<report::Panel> charts;
  long long violations = 0;
  long long applied = 0;
  bool wide = false;
  for (const std::string_view check : checks) {
    const Count found = count(check);
    violations += found.violations;
    applied += found.applied;
    const std::vector<double> values = margins(check);
    const bool many_decades = found.violations == 0 && !values.empty() && values.back() > 100.0 * values.front();
    wide = wide || many_decades;
    charts.push_back({std::string(check),
                      report::histogram({.x = {.title = "margin",
                                               .scale = many_decades ? report::Scale::kLog : report::Scale::kLinear},
                                         .values = values,
                                         .marks = {}})});
  }
  return {.id = std::move(id),
          .title = "Margins over the ensemble",
          .caption = fmt::format("{} of {} margins are negative.{}", counted(violations), counted(applied),
                                 wide ? " Where the axis is logarithmic, those at its left end are of trajectories on "
                                        "which hardly anything moves between two records: what keeps them from zero is "
                                        "the allowance for rounding."
                                      : ""),
          .alternative = fmt::format("Histograms of the margins of {} checks; {} of {} margins are negative.",
                                     checks.size(), violations, applied),
          .spec = report::panels(charts, std::min(2, static_cast<int>(charts.size()))),
          .table = table()};
}

report::Table CheckedEnsemble::table() const {
  std::vector<std::string> checks, groups;
  std::vector<double> applied, violations, worst, median;
  for (const std::string_view check : checks_) {
    for (const auto& [group, margins] : margins_.at(check)) {
      checks.emplace_back(check);
      groups.push_back(group);
      applied.push_back(static_cast<double>(margins.size()));
      violations.push_back(static_cast<double>(
          std::count_if(margins.begin(), margins.end(), [](double margin) { return !(margin >= 0.0); })));
      const Spread spread = spread_of(margins);
      worst.push_back(spread.low);
      median.push_back(spread.median);
    }
  }
  return {{{"check", checks},
           {"trajectories", groups},
           {"precondition held on", applied},
           {"violations", violations},
           {"worst margin", worst},
           {"median margin", median}}};
}

std::string counted(long long number) {
  std::string digits = std::to_string(number);
  // U+202F, a narrow space that no line breaks at.
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, "\u202f");
  return digits;
}

}  // namespace polariscope::experiments
