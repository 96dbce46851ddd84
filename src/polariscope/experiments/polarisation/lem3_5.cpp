// Lemma 3.5 of the polarisation paper: under square loss V stays along β, and two vectors say it all.
#include "polariscope/base/parallel.h"
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/ensemble_checks.h"
#include "polariscope/experiments/shared/measure.h"
#include "polariscope/experiments/shared/spread_series.h"
#include "polariscope/report/charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <mutex>
#include <utility>

namespace polariscope::experiments {
namespace {

constexpr std::string_view kAlong = "A.lem3.5/along-beta";
constexpr std::array<int, 4> kSizes{2, 4, 8, 16};
constexpr std::array<int, 3> kComparedSizes{2, 4, 8};
constexpr std::array<double, 1> kZero{0.0};
constexpr std::array<double, 2> kScales{0.1, 1.0};
constexpr double kStep = 0.05;
constexpr std::int64_t kSteps = 2'000;
constexpr double kUntil = 100.0;     // where descent ends
constexpr double kAgreement = 1e-8;  // what full and reduced are held to
constexpr int kShownSize = 8;

// Largest growth of ‖V − βuᵀ/‖β‖²‖ from one record to the next, against its start.
double orthogonal_growth(const flow::Trajectory& t) {
  double growth = -std::numeric_limits<double>::infinity();
  for (std::size_t n = 1; n < t.points(); ++n) growth = std::max(growth, t.orthogonal[n] - t.orthogonal[n - 1]);
  return growth / t.orthogonal.front();
}

double largest_difference(const std::vector<double>& x, const std::vector<double>& y) {
  double top = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) top = std::max(top, std::abs(x[i] - y[i]));
  return top;
}

double disagreement(const flow::Trajectory& full, const flow::Trajectory& reduced) {
  return std::max({largest_difference(full.scores, reduced.scores), largest_difference(full.u, reduced.u),
                   largest_difference(full.sigma, reduced.sigma)});
}

// The same start, full and reduced, by one of the integrators.
enum class Method { kDescent, kFlow };
double full_against_reduced(const flow::Start& start, Method method) {
  flow::Start small = start;
  small.problem.model = flow::Model::kReduced;
  small.state = flow::reduced(start.problem, start.state);
  if (method == Method::kDescent) {
    const flow::DescentOptions options{.step = kStep, .steps = kSteps, .samples = {}, .progress = {}};
    return disagreement(flow::descend(start.problem, start.state, options),
                        flow::descend(small.problem, small.state, options));
  }
  const flow::FlowOptions options{.until = kUntil, .times = {}, .rtol = 1e-12, .events = false, .progress = {}};
  return disagreement(flow::integrate(start.problem, start.state, options),
                      flow::integrate(small.problem, small.state, options));
}

struct Shown {
  std::vector<double> t;
  std::vector<std::vector<double>> from_noise;  // ‖orthogonal part‖ against its start, one entry a flow
};

report::Figure orthogonal_figure(const Shown& shown, const Spread& grown) {
  const report::SeriesChart chart{
      .x = {.title = "time t", .scale = report::Scale::kLog},
      .y = {.title = "‖V − βuᵀ/‖β‖²‖ against its start", .scale = report::Scale::kLinear},
      .series = {spread_series("V₀ = N(0, 1): median and range", shown.t, shown.from_noise)},
      .references = {{"never above its start", 1.0}}};
  return {.id = "orthogonal",
          .title = "What of V does not lie along β",
          .caption = fmt::format("At the end {} of it is left. Its largest growth from one record to the next, on any "
                                 "trajectory, is {} of its start.",
                                 end_in_words(chart.series[0]), significant(grown.high, 2)),
          .alternative = fmt::format("Norm of the part of V orthogonal to β, relative to its start, against time; it "
                                     "ends at {}.",
                                     end_in_words(chart.series[0])),
          .spec = report::series_chart(chart),
          .table = report::table_of(chart)};
}

report::Figure agreement_figure(const std::vector<double>& descents, const std::vector<double>& flows) {
  const std::array<report::Panel, 2> both{
      report::Panel{"gradient descent",
                    report::histogram({.x = {.title = "largest difference", .scale = report::Scale::kLog},
                                       .values = descents,
                                       .marks = {{"1e-8", kAgreement}}})},
      report::Panel{"the flow", report::histogram({.x = {.title = "largest difference", .scale = report::Scale::kLog},
                                                   .values = flows,
                                                   .marks = {{"1e-8", kAgreement}}})}};
  return {.id = "agreement",
          .title = "Full against reduced system",
          .caption =
              fmt::format("The largest difference in a, u and σ over all records, held to {:g}, is {} by descent "
                          "and {} by the flow.",
                          kAgreement, significant(spread_of(descents).high, 2), significant(spread_of(flows).high, 2)),
          .alternative = "Histograms of the largest difference between the full and the reduced system.",
          .spec = report::panels(both, 2),
          .table = {{{"largest difference, descent", descents}, {"largest difference, flow", flows}}}};
}

// Full against reduced for both losses that close over two vectors.
std::vector<double> disagreements(const Context& context, const std::vector<Setting>& settings, std::int64_t each,
                                  Method method) {
  std::vector<double> differences(settings.size() * each);
  parallel_for(static_cast<std::int64_t>(differences.size()), context.threads, [&](std::int64_t i) {
    differences[i] = full_against_reduced(settings[i / each].draw(context.seed, i), method);
  });
  return differences;
}

report::Section run(const Context& context) {
  const std::int64_t each = context.paper() ? 12'500 : 500;
  const std::int64_t flows = context.paper() ? 50 : 4;
  const std::int64_t compared = context.paper() ? 100 : 6;
  Setting square{.loss = flow::Loss::kSquare};
  square.start.score_scale = 1.0;  // from a = c·1 and V = 0 all tokens would stay alike
  const std::vector<Setting> zero = settings_of(square, kSizes, kZero);
  const std::vector<Setting> noise = settings_of(square, kSizes, kScales);
  const flow::DescentOptions descent{.step = kStep, .steps = kSteps, .samples = {}, .progress = {}};
  const flow::FlowOptions flow{.until = kUntil, .times = {}, .events = false, .progress = {}};

  CheckedEnsemble ensemble(context, {kAlong}, static_cast<std::int64_t>(zero.size() + noise.size()) * (each + flows));
  std::vector<double> growths;
  Shown shown;
  shown.t = flow::log_times(flow.until, 200);
  std::mutex mutex;  // guards growths and shown
  const auto growth = [&](std::size_t s, std::int64_t, const flow::Trajectory& t) {
    const std::lock_guard lock(mutex);
    growths.push_back(orthogonal_growth(t));
    const bool of_flow = t.t.size() == shown.t.size();
    if (!of_flow || t.problem.tokens != kShownSize || noise[s].start.value_scale != 1.0) return;
    shown.from_noise.push_back(t.orthogonal);
    for (double& x : shown.from_noise.back()) x /= t.orthogonal.front();
  };
  ensemble.descend(zero, each, descent);
  ensemble.integrate(zero, flows, flow);
  ensemble.descend(noise, each, descent, growth);
  ensemble.integrate(noise, flows, flow, growth);
  ensemble.finish();

  Setting logistic = square;
  logistic.loss = flow::Loss::kLogistic;
  std::vector<Setting> closed = settings_of(square, kComparedSizes, kZero);
  for (const Setting& setting : settings_of(logistic, kComparedSizes, kScales)) closed.push_back(setting);
  const std::vector<double> descents = disagreements(context, closed, compared, Method::kDescent);
  const std::vector<double> integrated = disagreements(context, closed, compared, Method::kFlow);
  const Spread by_descent = spread_of(descents);
  const Spread by_flow = spread_of(integrated);
  const Spread grown = spread_of(growths);

  report::Section section;
  section.method = fmt::format(
      "Square loss ½‖β − Vσ(a)‖², a₀ = N(0, 1), d = k in {{2, 4, 8, 16}}; V₀ = 0 and V₀ = scale·N(0, 1): {} gradient "
      "descents ({} steps of {}) and {} flows to t = {:g}. The full system is compared with the reduced one (u, a) "
      "from "
      "the same starts, under square loss from V₀ = 0 and under logistic loss from any V₀.",
      counted(each * static_cast<long long>(zero.size() + noise.size())), counted(kSteps), kStep,
      counted(flows * static_cast<long long>(zero.size() + noise.size())), flow.until);
  section.findings = fmt::format(
      "From V₀ = 0 something orthogonal to β appears on {} of {} trajectories. From V₀ ≠ 0 the largest change of the "
      "orthogonal part between records, relative to its start, is {}. Full and reduced system differ by at most {} "
      "under descent and {} under the flow.",
      counted(ensemble.count(kAlong).violations), counted(ensemble.count(kAlong).applied), significant(grown.high, 2),
      significant(by_descent.high, 2), significant(by_flow.high, 2));
  section.claims = {
      ensemble.claim(kAlong, "Lemma 3.5", "margins"),
      claim("A.lem3.5/orthogonal-decays", "Whatever of V is orthogonal to β at the start only decays.",
            "Lemma 3.5, ours",
            "‖V − βuᵀ/‖β‖²‖ grows by less than 1e-7 of its start between any two records, every trajectory", grown,
            "trajectories", grown.high <= 1e-7, "orthogonal"),
      claim("A.lem3.5/reduced-descent", "Gradient descent of the reduced system is that of the full one.", "Lemma 3.5",
            "largest difference in a, u, σ at most 1e-8, every start", by_descent, "starts",
            by_descent.high <= kAgreement, "agreement"),
      claim("A.lem3.5/reduced-flow", "The flow of the reduced system is that of the full one.", "Lemma 3.5",
            "largest difference in a, u, σ at most 1e-8, every start", by_flow, "starts", by_flow.high <= kAgreement,
            "agreement"),
  };
  const std::array<std::string_view, 1> checks{kAlong};
  section.figures = {orthogonal_figure(shown, grown), agreement_figure(descents, integrated),
                     ensemble.figure("margins", checks)};
  section.configuration = {{"model", "value-softmax, reduced"},
                           {"loss", "square; logistic in the comparison"},
                           {"re-weighting", "softmax"},
                           {"d = k", "2, 4, 8, 16"},
                           {"V₀", "0; scale·N(0, 1), scale 0.1, 1"},
                           {"a₀", "N(0, 1)"},
                           {"descents a setting", counted(each)},
                           {"step, steps", fmt::format("{}, {}", kStep, kSteps)},
                           {"flows a setting", counted(flows)},
                           {"starts compared a setting", counted(compared)},
                           {"relative tolerance", fmt::format("{}; 1e-12 in the comparison", flow.rtol)},
                           {"seed", fmt::format("{}", context.seed)}};
  if (!context.paper())
    section.differences = "6 000 descents and 48 flows where the paper preset takes 150 000 and 600.";
  return section;
}

}  // namespace

Experiment a_lem3_5() {
  return {.id = "A.lem3.5",
          .title = "Under square loss V stays along β",
          .source = "Polarisation paper, lemma 3.5",
          .question = "Does anything orthogonal to β grow, and do u and a alone tell the whole flow?",
          .run = run};
}

}  // namespace polariscope::experiments
