#include "bench/flow_cases.h"

#include "bench/child.h"
#include "bench/fma_peak.h"
#include "bench/measure.h"
#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/parallel.h"
#include "polariscope/flow/descent.h"
#include "polariscope/flow/ensemble.h"
#include "polariscope/flow/gradient_flow.h"
#include "polariscope/flow/start.h"
#include "polariscope/flow/start_arrays.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

namespace polariscope::bench {
namespace {

constexpr int kDim = 8;
constexpr double kStep = 0.1;
constexpr std::uint64_t kSeed = 123;

flow::Start logistic_start(std::uint64_t trajectory = 0) {
  const reweighting::Reweighting& softmax = reweighting::find_reweighting("softmax");
  flow::StartOptions options = flow::usual_start(flow::Model::kValueSoftmax, flow::Loss::kLogistic, softmax);
  options.outputs = options.tokens = kDim;
  return flow::random_start(flow::Model::kValueSoftmax, flow::Loss::kLogistic, softmax, options, kSeed, trajectory);
}

flow::Start least_squares_start(double condition) {
  const reweighting::Reweighting& softmax = reweighting::find_reweighting("softmax");
  flow::StartOptions options = flow::usual_start(flow::Model::kValueSoftmax, flow::Loss::kLeastSquares, softmax);
  options.outputs = options.tokens = 20;
  options.condition = condition;
  return flow::random_start(flow::Model::kValueSoftmax, flow::Loss::kLeastSquares, softmax, options, kSeed);
}

// The same numbers for the peer: a file of what a start holds.
std::string write_arrays(const TemporaryFolder& folder, const flow::Start& start) {
  const flow::Problem& problem = start.problem;
  nlohmann::json arrays{
      {"V", flow::values_as_rows(problem, start.state)}, {"a", start.state.scores}, {"beta", problem.beta}};
  for (int r = 0; r < problem.samples(); ++r) {
    const auto row = problem.design.begin() + r * problem.outputs;
    arrays["X"].push_back(std::vector<double>(row, row + problem.outputs));
  }
  const std::filesystem::path path = folder.path() / "start.json";
  write_file(path, arrays.dump());
  return path.string();
}

double largest_difference(const std::vector<double>& x, const std::vector<double>& y) {
  double largest = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) largest = std::max(largest, std::abs(x[i] - y[i]));
  return largest;
}

// Throws Error unless the peer computed what we did.
void require_same_end(const std::string& what, const flow::Trajectory& ours, const nlohmann::json& peer) {
  const double loss = std::abs(ours.loss.back() / peer.at("loss").get<double>() - 1.0);
  const double scores = largest_difference(ours.final_state.scores, peer.at("a").get<std::vector<double>>());
  if (!(loss <= 1e-9 && scores <= 1e-9)) {
    throw Error("{}: we and NumPy end apart, by {:.2g} of the loss and {:.2g} of a: both must be within 1e-9", what,
                loss, scores);
  }
}

flow::Trajectory descend_to_end(const flow::Start& start, double step, std::int64_t steps) {
  flow::DescentOptions options;
  options.step = step;
  options.steps = steps;
  options.samples = {0, steps};
  return flow::descend(start.problem, start.state, options);
}

flow::FlowOptions flow_to(double until, double rtol) {
  flow::FlowOptions options;
  options.until = until;
  options.times = {0.0, until};
  options.rtol = rtol;
  return options;
}

Row ratio_row(std::string name, const Pairs& pairs, double target, const std::string& per) {
  const Summary ours = summary(pairs.ours), peer = summary(pairs.peer), ratio = summary(pairs.ratios());
  return {.name = std::move(name),
          .ours = seconds_text(ours) + per,
          .peer = seconds_text(peer) + per,
          .ratio = fmt::format("{:.0f}× ({})", ratio.median, spread_text(ratio)),
          .target = fmt::format("≥ {:g}×", target),
          .verdict = verdict(ratio.median >= target),
          .note = "",
          .numbers = {{"ours_seconds", to_json(ours)}, {"peer_seconds", to_json(peer)}, {"ratio", to_json(ratio)}}};
}

std::vector<Row> run_trajectory(const Settings& settings) {
  constexpr std::int64_t kOurSteps = 2'000'000;
  constexpr std::int64_t kPeerSteps = 20'000;
  const flow::Start start = logistic_start();
  const TemporaryFolder folder;
  const std::vector<std::string> arguments{write_arrays(folder, start), "--step", fmt::format("{}", kStep), "--steps",
                                           fmt::format("{}", kPeerSteps)};
  require_same_end("trajectory", descend_to_end(start, kStep, kPeerSteps), run_peer("logistic", arguments));
  const Pairs pairs = interleave(
      settings.repeats,
      [&] { return processor_seconds_of([&] { descend_to_end(start, kStep, kOurSteps); }) / kOurSteps; },
      [&] { return run_peer("logistic", arguments).at("seconds_per_step").get<double>(); });
  return {ratio_row("trajectory", pairs, 300.0, " a step")};
}

// Floating-point operations of one step of one trajectory of k tokens as the fused kernel does them
// (flow/internal/logistic-inl.h; V itself is not touched by a step), a fused multiply-add being two;
// comparisons, bit operations, loads and stores are none:
//   e^x       34   14 multiply-adds, 1 subtraction, 5 products (reweighting/exp-inl.h)
//   a token   47   e^x, u twice (4), Σw (1), Σwu (2), u - centre (1), slope (1), a (2), c (2)
//   the row   40   e^z, 1/n, z, 1 + e^z, 1/(1 + e^z), Σs, ηs/n (2), centre; the first token of a sum adds nothing (-2)
double operations_per_step(int k) { return 47.0 * k + 40.0; }

std::vector<Row> run_ensemble(const Settings& settings) {
  constexpr double kTarget = 5e7;
  flow::EnsembleOptions options;
  options.trajectories = 64;
  options.threads = 1;
  options.descent.step = kStep;
  options.descent.steps = 50'000;
  options.descent.samples = {0, 50'000};
  const double steps = static_cast<double>(options.trajectories) * static_cast<double>(options.descent.steps);
  const auto draw = [](std::int64_t i) { return logistic_start(static_cast<std::uint64_t>(i)); };
  std::vector<double> peaks;
  const auto ours = [&] {
    const double seconds = processor_seconds_of(
        [&] { flow::descend_ensemble(draw, options, [](std::int64_t, const flow::Trajectory&) {}); });
    peaks.push_back(fma_peak<double>());
    return seconds / steps;
  };
  const bool has_peer = settings.obstacle.empty();
  const auto peer = [&] {
    return has_peer ? run_peer("logistic_ensemble", {"--steps", "200"}).at("seconds_per_step").get<double>() : 0.0;
  };
  const Pairs pairs = interleave(settings.repeats, ours, peer);
  peaks.erase(peaks.begin());  // the run that is not counted

  std::vector<double> rates, fractions;
  for (std::size_t i = 0; i < pairs.ours.size(); ++i) {
    rates.push_back(1.0 / pairs.ours[i]);
    fractions.push_back(operations_per_step(kDim) * rates[i] / peaks[i]);
  }
  const Summary rate = summary(rates), fraction = summary(fractions), peak = summary(peaks);
  Row row = ratio_row("ensemble", pairs, 0.0, " a step");
  row.ours = fmt::format("{:.3g} steps/s/core ({})", rate.median, spread_text(rate));
  row.target = fmt::format("≥ {:.0e} steps/s/core", kTarget);
  row.verdict = verdict(rate.median >= kTarget);
  if (!has_peer) row.peer = row.ratio = "NumPy absent";
  row.note = fmt::format("{:.0f} % of the FMA peak of {:.0f} Gflop/s measured beside it ({:.0f} operations a step)",
                         100.0 * fraction.median, 1e-9 * peak.median, operations_per_step(kDim));
  row.numbers["steps_per_second_per_core"] = to_json(rate);
  row.numbers["fma_peak_flops"] = to_json(peak);
  row.numbers["fraction_of_peak"] = to_json(fraction);
  return {row};
}

std::vector<Row> run_horizon(const Settings& settings) {
  constexpr double kTarget = 5e-3;
  const flow::Start start = logistic_start();
  const flow::FlowOptions options = flow_to(1e299, 1e-9);
  long long evaluations = 0;
  const auto flow = [&] { evaluations = flow::integrate(start.problem, start.state, options).evaluations; };
  flow();
  std::vector<double> seconds;
  for (int i = 0; i < 10 * settings.repeats; ++i) seconds.push_back(processor_seconds_of(flow));
  const Summary ours = summary(seconds);

  const flow::Trajectory reference = flow::integrate(start.problem, start.state, flow_to(1e299, 1e-12));
  const flow::Trajectory reached = flow::integrate(start.problem, start.state, options);
  const double error = largest_difference(reached.final_state.scores, reference.final_state.scores);
  return {{.name = "horizon",
           .ours = seconds_text(ours),
           .peer = "none reaches it",
           .ratio = "",
           .target = "≤ 5 ms",
           .verdict = verdict(ours.median <= kTarget),
           .note = fmt::format("{} right-hand sides; a at t = 1e299 is within {:.1e} of the flow at rtol 1e-12",
                               evaluations, error),
           .numbers = {{"ours_seconds", to_json(ours)}, {"evaluations", evaluations}, {"error_of_a", error}}}};
}

std::vector<Row> run_replaced(const Settings& settings) {
  constexpr double kUntil = 1e6;
  constexpr std::int64_t kSteps = 10'000'000;
  const flow::Start start = logistic_start();
  const auto flow = [&](double rtol) { return flow::integrate(start.problem, start.state, flow_to(kUntil, rtol)); };
  const flow::Trajectory reference = flow(1e-13), flowed = flow(1e-9), descended = descend_to_end(start, kStep, kSteps);
  const Pairs pairs = interleave(
      std::min(settings.repeats, 5), [&] { return processor_seconds_of([&] { flow(1e-9); }); },
      [&] { return processor_seconds_of([&] { descend_to_end(start, kStep, kSteps); }); });
  const auto errors = [&](const flow::Trajectory& trajectory) {
    return std::pair(largest_difference(trajectory.final_state.scores, reference.final_state.scores),
                     std::abs(trajectory.loss.back() / reference.loss.back() - 1.0));
  };
  const auto [a_flow, loss_flow] = errors(flowed);
  const auto [a_descent, loss_descent] = errors(descended);
  Row row = ratio_row("replaced", pairs, 1.0, "");
  row.target = "";
  row.verdict = Verdict::kNoTarget;
  row.peer += ", our descent";
  row.note = fmt::format(
      "against the flow at rtol 1e-13, the flow is off by {:.1e} in a and {:.1e} of the loss, descent by {:.1e} and "
      "{:.1e}",
      a_flow, loss_flow, a_descent, loss_descent);
  row.numbers["flow"] = {{"error_of_a", a_flow}, {"relative_error_of_loss", loss_flow}};
  row.numbers["descent"] = {{"error_of_a", a_descent}, {"relative_error_of_loss", loss_descent}};
  return {row};
}

std::vector<Row> run_condition(const Settings& settings) {
  constexpr std::int64_t kSteps = 300'000;
  constexpr std::int64_t kPeerSteps = 10'000;
  constexpr int kValues = 5;
  constexpr double kSmallStep = 1e-3;
  const TemporaryFolder folder;
  std::vector<flow::Start> starts;
  for (int condition = 1; condition <= kValues; ++condition) starts.push_back(least_squares_start(condition));
  const std::vector<std::string> arguments{write_arrays(folder, starts.back()), "--step", fmt::format("{}", kSmallStep),
                                           "--steps", fmt::format("{}", kPeerSteps)};
  require_same_end("condition", descend_to_end(starts.back(), kSmallStep, kPeerSteps),
                   run_peer("least_squares", arguments));
  const Pairs pairs = interleave(
      std::min(settings.repeats, 5),
      [&] {
        return processor_seconds_of([&] {
          for (const flow::Start& start : starts) descend_to_end(start, kSmallStep, kSteps);
        });
      },
      [&] {
        const double a_step = run_peer("least_squares", arguments).at("seconds_per_step").get<double>();
        return a_step * static_cast<double>(kSteps) * kValues;
      });
  Row row = ratio_row("condition", pairs, 100.0, "");
  row.note =
      fmt::format("NumPy did {} steps of one of the {} trajectories; its time is that, times {}; one thread each",
                  kPeerSteps, kValues, kSteps * kValues / kPeerSteps);
  return {row};
}

std::vector<Row> run_catalogue(const Settings& /*settings*/) {
  constexpr double kTarget = 90.0;
  Row row{.name = "catalogue",
          .ours = "",
          .peer = "",
          .ratio = "",
          .target = "≤ 90 s on 2 cores",
          .note = "",
          .numbers = {}};
  if (!std::filesystem::exists(POLARISCOPE_PROGRAM)) {
    row.verdict = Verdict::kSkipped;
    row.note = "polariscope is not built";
    return {row};
  }
  const TemporaryFolder folder;
  const double seconds = seconds_of([&] {
    run_child({POLARISCOPE_PROGRAM, "reproduce", "--preset", "quick", "--out", (folder.path() / "out").string()});
  });
  row.ours = fmt::format("{:.1f} s (one run)", seconds);
  row.verdict = verdict(seconds <= kTarget);
  row.note = fmt::format("on {} cores", processor_count());
  row.numbers = {{"ours_seconds", seconds}, {"cores", processor_count()}};
  return {row};
}

}  // namespace

const std::vector<Case>& flow_cases() {
  static const std::vector<Case> kCases{
      {"trajectory", "gradient descent of one logistic trajectory, d = k = 8", true, run_trajectory},
      {"ensemble", "the same for many trajectories at once, one thread", false, run_ensemble},
      {"horizon", "the gradient flow to t = 1e299 at rtol 1e-9", false, run_horizon},
      {"replaced", "the flow to t = 1e6 against the 1e7 steps of descent it replaces", false, run_replaced},
      {"condition", "least squares, d = k = n = 20, 3e5 steps, 5 condition numbers", true, run_condition},
      {"catalogue", "polariscope reproduce --preset quick", false, run_catalogue},
  };
  return kCases;
}

}  // namespace polariscope::bench
