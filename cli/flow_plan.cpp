// From options to a run of the flow.
#include "flow.h"
#include "polariscope/base/error.h"
#include "polariscope/base/memory.h"
#include "polariscope/base/names.h"
#include "polariscope/base/parallel.h"
#include "polariscope/flow/checks.h"
#include "polariscope/flow/ensemble.h"
#include "polariscope/flow/start_arrays.h"
#include "settings.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <mutex>

namespace polariscope::cli {
namespace {

int size_of(std::string_view option, double value, int least) {
  return static_cast<int>(whole_number(option, value, least, 100'000));
}

bool wants_flow(const FlowSettings& settings) {
  constexpr std::array<std::string_view, 2> kMethods{"gd", "flow"};
  if (settings.method != kMethods[0] && settings.method != kMethods[1]) {
    throw Error("{}", unknown_name("method", settings.method, kMethods));
  }
  const bool flow = settings.method == "flow";
  if (flow && (settings.has_step || settings.has_steps)) {
    throw Error("--step and --steps belong to --method gd: the flow takes --until T");
  }
  if (!flow && (settings.has_rtol || settings.solver != "auto")) {
    throw Error("--rtol and --solver belong to --method flow: gradient descent takes --step and --steps");
  }
  if (!flow && settings.has_until && settings.has_steps) {
    throw Error("--until and --steps both say where gradient descent ends: give one of them");
  }
  return flow;
}

flow::StartOptions start_options(const FlowSettings& settings, const FlowRun& run) {
  flow::StartOptions options = flow::usual_start(run.model, run.loss, *run.reweighting);
  options.outputs = size_of("--dim", settings.dim, 1);
  options.tokens = settings.has_tokens ? size_of("--tokens", settings.tokens, 1) : options.outputs;
  if (settings.has_rows) options.rows = size_of("--rows", settings.rows, 1);
  if (settings.has_value_scale) options.value_scale = settings.value_scale;
  if (settings.has_score_scale) options.score_scale = settings.score_scale;
  if (settings.has_score_offset) options.score_offset = settings.score_offset;
  if (!(settings.condition >= 1.0) || std::isinf(settings.condition)) {
    throw Error("--condition is {}: a condition number is finite and at least 1", settings.condition);
  }
  if (settings.condition != 1.0 && run.loss != flow::Loss::kLeastSquares) {
    throw Error("--condition belongs to --loss least-squares: the {} loss has no design matrix",
                flow::loss_name(run.loss));
  }
  options.condition = settings.condition;
  if (run.arrays.is_null()) return options;

  const flow::StartOptions sized = flow::sized_by(run.arrays, run.model, run.loss, options);
  if (settings.has_dim && sized.outputs != options.outputs) {
    throw Error("{} has d = {}, --dim says {}: leave one out", run.arrays_from, sized.outputs, options.outputs);
  }
  if (settings.has_tokens && sized.tokens != options.tokens) {
    throw Error("{} has k = {}, --tokens says {}: leave one out", run.arrays_from, sized.tokens, options.tokens);
  }
  return sized;
}

void require_room(const flow::StartOptions& size, int samples) {
  const double d = size.outputs, k = size.tokens, rows = size.rows;
  const double state = 3.0 * (d * k + rows * k);                               // with its gradient and a copy
  const double records = samples * (k * (2.0 * rows + 1.0) + std::min(d, k));  // a, σ, u, singular values
  require_memory(8.0 * (state + records),
                 fmt::format("d = {}, k = {}, {} rows and {} samples", size.outputs, size.tokens, size.rows, samples));
}

}  // namespace

FlowRun plan_flow(const FlowSettings& settings) {
  FlowRun run{};
  run.model = flow::find_model(settings.model);
  run.loss = flow::find_loss(settings.loss);
  run.reweighting = &reweighting::find_reweighting(
      run.model == flow::Model::kLinear && !settings.has_reweighting ? "identity" : settings.reweighting);
  run.flow = wants_flow(settings);
  run.seed = static_cast<std::uint64_t>(whole_number("--seed", settings.seed, 0));
  run.trajectories = whole_number("--trajectories", settings.trajectories, 1);
  if (!settings.init.empty()) {
    run.arrays = flow::read_arrays(settings.init);
    run.arrays_from = "--init " + settings.init;
  }
  run.start = start_options(settings, run);

  const int samples = size_of("--samples", settings.samples, 2);
  require_room(run.start, samples);
  if (run.flow) {
    run.integration = {.until = settings.has_until ? settings.until : 1e6,
                       .times = {},
                       .rtol = settings.rtol,
                       .atol = 0.0,
                       .solver = flow::find_solver(settings.solver),
                       .events = run.trajectories == 1,
                       .singular_values = true,
                       .progress = {}};
    flow::validate(run.integration);
    run.integration.times = flow::log_times(run.integration.until, samples);
    run.tolerance = 100.0 * settings.rtol;
  } else {
    run.descent.step = settings.step;
    run.descent.steps = whole_number("--steps", settings.steps, 0);
    flow::validate(run.descent);
    if (settings.has_until) {
      if (!(settings.until > 0.0)) throw Error("--until is {}: it must be positive", settings.until);
      run.descent.steps = whole_number("--until divided by --step", std::ceil(settings.until / settings.step), 1);
    }
    run.descent.samples = flow::log_samples(run.descent.steps, samples);
    run.descent.singular_values = true;
    run.tolerance = 1e-10;
  }
  return run;
}

flow::Start start_of(const FlowRun& run, std::int64_t index) {
  flow::Start start =
      flow::random_start(run.model, run.loss, *run.reweighting, run.start, run.seed, static_cast<std::uint64_t>(index));
  if (!run.arrays.is_null()) flow::apply_arrays(start, run.arrays, run.arrays_from);
  return start;
}

flow::Trajectory run_one(const FlowRun& run, const flow::Start& start) {
  return run.flow ? flow::integrate(start.problem, start.state, run.integration)
                  : flow::descend(start.problem, start.state, run.descent);
}

EnsembleSummary run_many(const FlowRun& run, const std::function<void(std::int64_t)>& progress) {
  EnsembleSummary summary;
  for (const flow::Check& check : flow::checks())
    summary.checks.push_back({.id = check.id, .statement = check.statement});
  std::mutex mutex;  // guards summary
  const auto visit = [&](std::int64_t, const flow::Trajectory& t) {
    const std::vector<flow::CheckResult> results = flow::run_checks(t, run.tolerance);
    const std::lock_guard lock(mutex);
    ++summary.trajectories;
    for (std::size_t i = 0; i < results.size(); ++i) {
      if (!results[i].applies) continue;
      EnsembleSummary::Tally& tally = summary.checks[i];
      tally.worst_margin = tally.applied == 0 ? results[i].margin : std::min(tally.worst_margin, results[i].margin);
      ++tally.applied;
      if (!results[i].holds()) ++tally.violations;
    }
    if (t.ending == flow::Ending::kDiverged || t.ending == flow::Ending::kStuck) {
      ++(t.ending == flow::Ending::kStuck ? summary.stuck : summary.diverged);
      return;
    }
    const int width = t.row_width();
    const auto first = std::max_element(t.u.begin(), t.u.begin() + t.problem.tokens) - t.u.begin();
    if (t.winner.back() == static_cast<double>(first)) ++summary.winner_first;
    summary.largest_weight.push_back(*std::max_element(t.sigma.end() - width, t.sigma.end()));
    summary.entropy.push_back(t.abs_entropy.back());
    summary.loss.push_back(t.loss.back());
  };
  if (run.flow) {
    std::atomic<std::int64_t> done = 0;
    parallel_for(run.trajectories, 0, [&](std::int64_t i) {
      visit(i, run_one(run, start_of(run, i)));
      progress(++done);
    });
  } else {
    flow::descend_ensemble(
        [&](std::int64_t i) { return start_of(run, i); },
        {.trajectories = run.trajectories, .threads = 0, .descent = run.descent, .progress = progress}, visit);
  }
  return summary;
}

}  // namespace polariscope::cli
