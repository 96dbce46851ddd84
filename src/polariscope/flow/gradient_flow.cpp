#include "polariscope/flow/gradient_flow.h"

#include "polariscope/base/error.h"
#include "polariscope/base/names.h"
#include "polariscope/flow/internal/cvode.h"
#include "polariscope/flow/internal/finite.h"
#include "polariscope/flow/internal/kernels.h"
#include "polariscope/flow/internal/point.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <iterator>
#include <numeric>
#include <utility>

namespace polariscope::flow {
namespace {

// Squares of shorter times are too near to the smallest double for the integrator.
constexpr double kShortestTime = 1e-100;
constexpr double kLongestTime = 1e299;
// Below this ratio of last to first recorded time, log t gains nothing over t.
constexpr double kLogTimeRatio = 1e3;
// Where log t takes over at the latest.
constexpr double kLatestLogTime = 1.0;

// Where V (or U), a, u and ∫‖∇L‖dt stand in the integrator's vector.
class Layout {
 public:
  Layout(const Problem& problem, const State& state)
      : problem_(problem),
        values_(static_cast<int>(state.values.size())),
        scores_(static_cast<int>(state.scores.size())),
        projections_(static_cast<int>(state.projections.size())) {}

  int size() const { return values_ + scores_ + projections_ + 1; }
  int scores_at() const { return values_; }
  int projections_at() const { return values_ + scores_; }
  int strength_at() const { return size() - 1; }

  std::vector<double> pack(const State& state, double strength) const {
    std::vector<double> y(state.values);
    y.insert(y.end(), state.scores.begin(), state.scores.end());
    y.insert(y.end(), state.projections.begin(), state.projections.end());
    y.push_back(strength);
    return y;
  }

  void unpack(std::span<const double> y, State& state) const {
    std::copy_n(y.begin(), values_, state.values.begin());
    std::copy_n(y.begin() + scores_at(), scores_, state.scores.begin());
    std::copy_n(y.begin() + projections_at(), projections_, state.projections.begin());
  }

  // dy = -e^log_scale ∂L/∂y at y, by the SIMD kernels; `field` is their scratch.
  void derivative(const FieldViews& field, double log_scale, std::span<const double> y, std::span<double> dy) const {
    const int k = problem_.tokens;
    for (int i = 0; i * k < values_; ++i) std::copy_n(&y[i * k], k, field.values + i * field.stride);
    for (int t = 0; t < problem_.rows; ++t) std::copy_n(&y[scores_at() + t * k], k, field.scores + t * field.stride);
    std::copy_n(y.begin() + projections_at(), projections_, field.projections);

    dy[strength_at()] = evaluate_along_tokens(field, log_scale);

    const bool tied = problem_.model == Model::kTied;
    std::fill_n(dy.begin(), values_, 0.0);
    for (int t = 0; t < problem_.rows; ++t) {
      const double* g = field.gradient + t * field.output_stride;
      const double* p = field.sigma + t * field.stride;
      const double* a = field.scores + t * field.stride;
      const double* dz = field.score_gradient + t * field.stride;
      for (int i = 0; i * k < values_; ++i) {
        for (int j = 0; j < k; ++j) dy[i * k + j] -= g[i] * p[j];
        for (int j = 0; tied && j < k; ++j) dy[i * k + j] -= dz[i] * a[j];
      }
      const double* da = tied ? field.pull : dz;
      for (int j = 0; j < k; ++j) dy[scores_at() + t * k + j] = -da[j];
      for (int j = 0; j < projections_; ++j) dy[projections_at() + j] = -g[0] * field.beta_square[0] * p[j];
    }
  }

 private:
  const Problem& problem_;
  int values_, scores_, projections_;
};

// One root function a pair of tokens of each row. What two tokens' numbers are apart counts as an order from a margin
// on that the integrator's tolerance leaves no doubt of: tokens that stay level change places with every rounding.
class Orders {
 public:
  Orders(const Problem& problem, const Layout& layout, Cvode::Tolerances tolerances, std::span<const double> start)
      : problem_(problem), layout_(layout), tolerances_(tolerances), weights_(problem.tokens), scores_(problem.tokens) {
    for (int row = 0; row < problem.rows; ++row) {
      for (int i = 0; i < problem.tokens; ++i) {
        for (int j = i + 1; j < problem.tokens; ++j) pairs_.push_back({row, i, j});
      }
    }
    for_each_lead(start, [&](Pair& pair, double lead, double margin) {
      if (std::abs(lead) > margin) pair.ahead = lead > 0.0 ? 1 : -1;
    });
  }

  int count() const { return static_cast<int>(pairs_.size()); }

  void differences(std::span<const double> y, std::span<double> g) {
    auto next = g.begin();
    for_each_lead(y, [&](const Pair& pair, double lead, double margin) {
      *next++ = pair.ahead == 0 ? std::abs(lead) - margin : pair.ahead * lead + margin;
    });
  }

  // What crossed at time t and state y; `sigma` is [T, k] there.
  void record(std::span<const int> crossings, double t, std::span<const double> y, std::span<const double> sigma,
              std::vector<Event>& events) {
    auto crossed = crossings.begin();
    for_each_lead(y, [&](Pair& pair, double lead, double /*margin*/) {
      if (*crossed++ == 0) return;
      const bool first = pair.ahead == 0;
      pair.ahead = lead > 0.0 ? 1 : -1;
      if (first) return;
      const auto& [row, i, j, ahead] = pair;
      const auto p = sigma.subspan(static_cast<std::size_t>(row) * problem_.tokens, problem_.tokens);
      bool leads = true;
      for (int other = 0; other < problem_.tokens; ++other) {
        leads = leads && (other == i || other == j || p[other] < p[i]);
      }
      events.push_back({.t = t, .row = row, .risen = ahead > 0 ? i : j, .fallen = ahead > 0 ? j : i, .winner = leads});
    });
  }

 private:
  struct Pair {
    int row, i, j;
    int ahead = 0;  // 1: i leads, -1: j leads, 0: they have been level so far
  };

  template <class Visit>  // visit(pair, lead of i over j, margin)
  void for_each_lead(std::span<const double> y, const Visit& visit) {
    int row = -1;
    double margin = 0.0;
    for (Pair& pair : pairs_) {
      if (pair.row != row) margin = rank(y, row = pair.row);
      visit(pair, scores_[pair.i] - scores_[pair.j], margin);
    }
  }

  // scores_ := numbers ordered as σ of the row: the scores themselves where f' > 0, which stay apart
  // where two weights underflow to the same zero. Returns the margin.
  double rank(std::span<const double> y, int row) {
    const int k = problem_.tokens;
    const double* a = &y[layout_.scores_at() + row * k];
    std::copy_n(a, k, scores_.begin());
    if (problem_.model == Model::kTied) {
      for (int i = 0; i < k; ++i) scores_[i] = std::inner_product(a, a + k, &y[i * k], 0.0);
    }
    if (!problem_.reweighting->strictly_rising || !problem_.reweighting->positive) {
      reweighting::reweight(*problem_.reweighting, scores_, weights_);
      scores_.swap(weights_);
    }
    double largest = 0.0;
    for (const double score : scores_) largest = std::max(largest, std::abs(score));
    return kMarginTolerances * (tolerances_.relative * largest + tolerances_.absolute);
  }

  static constexpr double kMarginTolerances = 10.0;

  const Problem& problem_;
  const Layout& layout_;
  Cvode::Tolerances tolerances_;
  std::vector<Pair> pairs_;
  std::vector<double> weights_, scores_;
};

// Under the logistic loss V moves along β alone, so (u, a) flows in V's stead: V = V₀ + β(u - u₀)ᵀ/‖β‖².
// 2k + 1 unknowns in place of dk + k + 1, and the integrator's work is proportional to their number.
class AlongBeta {
 public:
  AlongBeta(const Problem& problem, const State& start)
      : applies_(problem.model == Model::kValueSoftmax && problem.loss == Loss::kLogistic),
        problem_(problem),
        start_(start),
        flowing_problem_(problem),
        flowing_start_(applies_ ? reduced(problem, start) : start) {
    if (applies_) flowing_problem_.model = Model::kReduced;
  }

  const Problem& problem() const { return flowing_problem_; }
  const State& start() const { return flowing_start_; }

  // The state as the user knows it.
  State restored(const State& flowing) const {
    if (!applies_) return flowing;
    State state{.values = start_.values, .scores = flowing.scores, .projections = {}};
    const double square = std::inner_product(problem_.beta.begin(), problem_.beta.end(), problem_.beta.begin(), 0.0);
    const int k = problem_.tokens;
    for (int i = 0; i < problem_.outputs; ++i) {
      for (int j = 0; j < k; ++j) {
        state.values[i * k + j] +=
            problem_.beta[i] * ((flowing.projections[j] - flowing_start_.projections[j]) / square);
      }
    }
    return state;
  }

 private:
  bool applies_;
  const Problem& problem_;
  const State& start_;
  Problem flowing_problem_;
  State flowing_start_;
};

}  // namespace

void validate(const FlowOptions& options) {
  if (!(options.until >= kShortestTime && options.until <= kLongestTime)) {
    throw Error("the flow's final time is {}: it must lie between {:g} and {:g}", options.until, kShortestTime,
                kLongestTime);
  }
  if (!(options.rtol >= 1e-13 && options.rtol <= 1e-2)) {
    throw Error("the relative tolerance is {}: it must lie between 1e-13 and 1e-2", options.rtol);
  }
  if (options.atol < 0.0 || !std::isfinite(options.atol)) {
    throw Error("the absolute tolerance is {}: it must be positive (0 takes rtol / 1000)", options.atol);
  }
  const std::vector<double>& times = options.times;
  for (const double t : times) {
    if (!(t >= 0.0 && t <= kLongestTime)) {
      throw Error("the times to record hold {}: each must lie between 0 and {:g}", t, kLongestTime);
    }
  }
  const auto fall = std::ranges::adjacent_find(times, std::ranges::greater_equal());
  if (fall != times.end()) throw Error("the times to record hold {} after {}: they must rise", *std::next(fall), *fall);
}

Solver find_solver(std::string_view name) {
  constexpr std::array<std::string_view, 3> kNames{"auto", "adams", "bdf"};
  constexpr std::array<Solver, 3> kSolvers{Solver::kAuto, Solver::kAdams, Solver::kBdf};
  const auto* found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) throw Error("{}", unknown_name("solver", name, kNames));
  return kSolvers[found - kNames.begin()];
}

std::vector<double> log_times(double until, int count) {
  std::vector<double> times{0.0};
  const double first = std::log10(std::min(0.01, until / 1000.0));
  const double last = std::log10(until);
  for (int i = 0; i + 1 < count; ++i) times.push_back(std::pow(10.0, first + (last - first) * i / (count - 1)));
  times.push_back(until);
  return times;
}

Trajectory integrate(const Problem& problem, const State& start, const FlowOptions& options) {
  validate(problem, start);
  validate(options);
  const std::vector<double> times = options.times.empty() ? log_times(options.until, 200) : options.times;

  Trajectory trajectory = Trajectory::starting(problem, start);
  const AlongBeta flow(problem, start);
  const Layout layout(flow.problem(), flow.start());
  const Cvode::Tolerances tolerances{options.rtol, options.atol > 0.0 ? options.atol : 1e-3 * options.rtol};
  std::vector<double> y = layout.pack(flow.start(), 0.0);
  Orders orders(flow.problem(), layout, tolerances, y);
  FieldArrays arrays(flow.problem(), Packing::kAlongTokens);
  arrays.set(0, flow.problem(), flow.start(), 0.0);

  bool log_time = false;
  const Cvode::System system{
      .size = layout.size(),
      .derivative = [&](double time, std::span<const double> at,
                        std::span<double> dy) { layout.derivative(arrays.views(), log_time ? time : 0.0, at, dy); },
      .roots = options.events ? orders.count() : 0,
      .root_functions = [&](double, std::span<const double> at, std::span<double> g) { orders.differences(at, g); }};
  const bool stiff =
      options.solver == Solver::kBdf || (options.solver == Solver::kAuto && problem.loss != Loss::kLogistic);

  State flowing = flow.start();
  const auto record = [&](double t) {
    layout.unpack(y, flowing);
    const State state = flow.restored(flowing);
    if (!all_finite(state)) {
      trajectory.ending = Ending::kDiverged;
      return;
    }
    observe(trajectory, state, t, y[layout.strength_at()], options.singular_values);
    trajectory.final_state = state;
    const double gradient = trajectory.gradient_output.back();
    const double vanished = std::max(1e-11, 1e-2 * options.rtol) * trajectory.gradient_output.front();
    if (problem.loss != Loss::kLogistic && std::isfinite(gradient) && gradient <= vanished) {
      trajectory.ending = Ending::kConverged;
    }
    if (options.progress) options.progress(t, trajectory);
  };

  auto solver = std::make_unique<Cvode>(system, stiff, tolerances, 0.0, y);
  double now = 0.0;
  const auto advance_to = [&](double t) {  // false where the flow is stuck before t
    const double goal = log_time ? std::log(t) : t;
    const double last = log_time ? std::log(times.back()) : times.back();
    while (now < t) {
      const double reached = solver->advance(goal, last, log_time ? 1.0 : goal, y);
      now = reached < goal ? (log_time ? std::exp(reached) : reached) : t;
      const auto crossings = solver->crossings();
      if (std::ranges::any_of(crossings, [](int c) { return c != 0; })) {
        layout.unpack(y, flowing);
        orders.record(crossings, now, y, evaluate(flow.problem(), flowing).sigma, trajectory.events);
      }
      if (solver->stuck()) return false;
    }
    return true;
  };
  const auto pass_to_log_time = [&](double t) {
    trajectory.evaluations += solver->evaluations();
    log_time = true;
    solver = std::make_unique<Cvode>(system, stiff, tolerances, std::log(t), y);
  };
  for (const double t : times) {
    if (trajectory.ending == Ending::kConverged && t > 0.0) {
      record(t);
      continue;
    }
    // Records that begin late do not keep the integrator in t.
    if (!log_time && t > kLogTimeRatio * kLatestLogTime) {
      if (advance_to(kLatestLogTime)) pass_to_log_time(kLatestLogTime);
    }
    const bool arrived = advance_to(t);
    if (arrived || trajectory.t.empty() || now > trajectory.t.back()) record(now);
    if (!arrived && trajectory.ending == Ending::kHorizon) trajectory.ending = Ending::kStuck;
    if (trajectory.ending == Ending::kDiverged || trajectory.ending == Ending::kStuck) break;
    if (!arrived) record(t);
    if (!log_time && t > 0.0 && times.back() > kLogTimeRatio * t) pass_to_log_time(t);
  }
  trajectory.evaluations += solver->evaluations();
  return trajectory;
}

}  // namespace polariscope::flow
