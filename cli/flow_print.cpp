// What a flow came to, for machines and for people.
#include "flow.h"
#include "polariscope/base/quantiles.h"
#include "polariscope/base/terminal.h"
#include "polariscope/flow/checks.h"
#include "polariscope/flow/start_arrays.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace polariscope::cli {
namespace {

using Json = nlohmann::json;

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json numbers(const double* first, int count) {
  Json list = Json::array();
  for (int i = 0; i < count; ++i) list.push_back(number(first[i]));
  return list;
}

// The last record: a list of k, or T lists of k where the model has many rows.
Json last_rows(const flow::Trajectory& t, const std::vector<double>& record) {
  const int k = t.problem.tokens;
  const double* last = record.data() + record.size() - t.row_width();
  if (t.problem.model != flow::Model::kRows) return numbers(last, k);
  Json rows = Json::array();
  for (int r = 0; r < t.problem.rows; ++r) rows.push_back(numbers(last + r * k, k));
  return rows;
}

Json last_per_row(const flow::Trajectory& t, const std::vector<double>& record) {
  const double* last = record.data() + record.size() - t.problem.rows;
  return t.problem.model == flow::Model::kRows ? numbers(last, t.problem.rows) : number(*last);
}

Json winners(const flow::Trajectory& t) {
  std::vector<int> list(t.winner.end() - t.problem.rows, t.winner.end());
  return t.problem.model == flow::Model::kRows ? Json(list) : Json(list.front());
}

double entropy_of_target(const flow::Problem& problem) {
  double entropy = 0.0;
  for (double p : problem.target) entropy -= p > 0.0 ? p * std::log(p) : 0.0;
  return entropy;
}

std::string heading(const FlowRun& run) {
  const std::string size = fmt::format("d = {}, k = {}{}", run.start.outputs, run.start.tokens,
                                       run.model == flow::Model::kRows ? fmt::format(", {} rows", run.start.rows) : "");
  const std::string how = run.flow
                              ? fmt::format("gradient flow to t = {:g}", run.integration.until)
                              : fmt::format("gradient descent, {} steps of {:g}", run.descent.steps, run.descent.step);
  return fmt::format("{} · {} · {} · {} · {}\n", flow::model_name(run.model), flow::loss_name(run.loss),
                     run.reweighting->name, size, how);
}

std::string check_mark(bool holds, bool colour) {
  return coloured(holds ? "✓ holds" : "✗ fails", holds ? Colour::kGreen : Colour::kRed, colour);
}

// A weight near 1 is told by what it lacks: 0.999996 rather than 1.
std::string weight_cell(double weight, int digits) {
  const double rest = 1.0 - weight;
  if (!(rest > 0.0 && rest < 0.01)) return significant(weight, digits);
  if (rest < 1e-12) return fmt::format("1 − {:.1e}", rest);
  return fmt::format("{:.{}f}", weight, static_cast<int>(std::ceil(-std::log10(rest))) + 1);
}

// One sparkline of σ a token, largest at the end first, against log time.
std::string weight_lines(const flow::Trajectory& t) {
  constexpr int kShown = 8;
  constexpr int kWidth = 50;
  const int k = t.problem.tokens;
  std::vector<int> order(k);
  std::iota(order.begin(), order.end(), 0);
  const double* last = t.sigma.data() + t.sigma.size() - t.row_width();
  std::stable_sort(order.begin(), order.end(), [&](int i, int j) { return last[i] > last[j]; });
  const auto [low, high] = std::minmax_element(t.sigma.begin(), t.sigma.end());

  std::vector<std::vector<std::string>> rows{{"", "token", "σ against log t", "start", "end"}};
  for (int i = 0; i < std::min(k, kShown); ++i) {
    const std::vector<double> weights = flow::Trajectory::column(t.sigma, t.row_width(), order[i]);
    rows.push_back({"", fmt::format("{}", order[i]), sparkline(weights, std::min(*low, 0.0), *high, kWidth),
                    weight_cell(weights.front(), 3), weight_cell(weights.back(), 3)});
  }
  std::string text = aligned_table(rows);
  if (k > kShown) text += fmt::format("  … and {} smaller ones\n", k - kShown);
  return text;
}

struct Quantiles {
  double low, median, high;
};
Quantiles quantiles(std::vector<double> values) {
  std::erase_if(values, [](double value) { return !std::isfinite(value); });
  if (values.empty()) return {NAN, NAN, NAN};
  std::sort(values.begin(), values.end());
  return {values.front(), median_of_sorted(values), values.back()};
}

std::string quantile_cell(const std::vector<double>& values, std::string (*cell)(double, int) = significant) {
  const Quantiles q = quantiles(values);
  return fmt::format("{} ({} to {})", cell(q.median, 4), cell(q.low, 3), cell(q.high, 3));
}

Json quantile_json(const std::vector<double>& values) {
  const Quantiles q = quantiles(values);
  return {{"median", number(q.median)}, {"low", number(q.low)}, {"high", number(q.high)}};
}

}  // namespace

nlohmann::json as_json(const FlowRun& run, const flow::Trajectory& t) {
  Json object = {{"model", flow::model_name(run.model)},
                 {"reweighting", run.reweighting->name},
                 {"loss_name", flow::loss_name(run.loss)},
                 {"method", run.flow ? "flow" : "gd"},
                 {"ending", flow::ending_name(t.ending)},
                 {"loss", number(t.loss.back())},
                 {"a", last_rows(t, t.scores)},
                 {"u", numbers(t.u.data() + t.u.size() - t.problem.tokens, t.problem.tokens)},
                 {"sigma", last_rows(t, t.sigma)},
                 {"entropy", last_per_row(t, t.entropy)},
                 {"abs_entropy", last_per_row(t, t.abs_entropy)},
                 {"winner", winners(t)},
                 {"strength", number(t.strength.back())},
                 {"checks", Json::array()}};
  if (run.loss == flow::Loss::kKl) object["kl"] = number(t.loss.back() - entropy_of_target(t.problem));
  if (!t.final_state.values.empty()) {
    object[run.model == flow::Model::kTied ? "U" : "V"] = flow::values_as_rows(t.problem, t.final_state);
  }
  if (run.flow) {
    object["t"] = t.t.back();
    object["evaluations"] = t.evaluations;
    object["events"] = Json::array();
    for (const flow::Event& e : t.events) {
      object["events"].push_back(
          {{"t", e.t}, {"row", e.row}, {"risen", e.risen}, {"fallen", e.fallen}, {"winner", e.winner}});
    }
  } else {
    object["steps"] = t.evaluations;
  }
  for (const flow::CheckResult& c : flow::run_checks(t, run.tolerance)) {
    object["checks"].push_back({{"id", c.id},
                                {"statement", c.statement},
                                {"applies", c.applies},
                                {"reason", c.reason},
                                {"holds", c.applies ? Json(c.holds()) : Json(nullptr)},
                                {"margin", number(c.margin)}});
  }
  return object;
}

nlohmann::json as_json(const FlowRun& run, const EnsembleSummary& s) {
  Json object = {{"model", flow::model_name(run.model)},
                 {"reweighting", run.reweighting->name},
                 {"loss_name", flow::loss_name(run.loss)},
                 {"method", run.flow ? "flow" : "gd"},
                 {"trajectories", s.trajectories},
                 {"diverged", s.diverged},
                 {"stuck", s.stuck},
                 {"winner_is_largest_u", s.winner_first},
                 {"largest_weight", quantile_json(s.largest_weight)},
                 {"abs_entropy", quantile_json(s.entropy)},
                 {"loss", quantile_json(s.loss)},
                 {"checks", Json::array()}};
  for (const auto& tally : s.checks) {
    object["checks"].push_back({{"id", tally.id},
                                {"statement", tally.statement},
                                {"applied", tally.applied},
                                {"violations", tally.violations},
                                {"worst_margin", tally.applied > 0 ? number(tally.worst_margin) : Json(nullptr)}});
  }
  return object;
}

std::string in_words(const FlowRun& run, const flow::Trajectory& t, bool with_checks, bool colour) {
  const int width = t.row_width();
  const auto largest = [&](std::size_t n) {
    return *std::max_element(t.sigma.begin() + n * width, t.sigma.begin() + (n + 1) * width);
  };
  const std::size_t last = t.points() - 1;
  const bool is_signed = std::isnan(t.entropy[last * t.problem.rows]);
  std::string text = heading(run);
  if (t.ending == flow::Ending::kDiverged) {
    text += coloured(fmt::format("diverged: the numbers below are the last finite ones, at t = {:g}\n", t.t.back()),
                     Colour::kRed, colour);
  } else if (t.ending == flow::Ending::kStuck) {
    text += coloured(fmt::format("stuck: the integrator's steps shrink to nothing at t = {:g}, as at a kink of {} or "
                                 "where all weights vanish; the numbers below are of there\n",
                                 t.t.back(), run.reweighting->name),
                     Colour::kRed, colour);
  } else if (t.ending == flow::Ending::kConverged) {
    text += "converged: the gradient vanished before the horizon\n";
  }
  text +=
      aligned_table({{"", "", "start", "end"},
                     {"", "loss", significant(t.loss.front()), significant(t.loss.back())},
                     {"", "max σ", weight_cell(largest(0), 4), weight_cell(largest(last), 4)},
                     {"", is_signed ? "absolute entropy (nats)" : "entropy (nats)", significant(t.abs_entropy.front()),
                      significant(t.abs_entropy[last * t.problem.rows])},
                     {"", "effective rank of V", t.effective_rank.empty() ? "" : significant(t.effective_rank.front()),
                      t.effective_rank.empty() ? "" : significant(t.effective_rank.back())},
                     {"", "∫‖∇L‖ dt", "0", significant(t.strength.back())}});
  text += weight_lines(t);
  for (const flow::Event& e : t.events) {
    if (e.winner)
      text += fmt::format("token {} takes the lead from token {} at t = {}\n", e.risen, e.fallen, significant(e.t));
  }
  if (!with_checks) return text;
  std::vector<std::vector<std::string>> rows{{"check", "", "margin", "statement"}};
  for (const flow::CheckResult& c : flow::run_checks(t, run.tolerance)) {
    rows.push_back({std::string(c.id), c.applies ? check_mark(c.holds(), colour) : "–",
                    c.applies ? fmt::format("{:.3g}", c.margin) : "",
                    c.applies ? std::string(c.statement) : "does not apply: " + c.reason});
  }
  return text + aligned_table(rows);
}

std::string in_words(const FlowRun& run, const EnsembleSummary& s, bool with_checks, bool colour) {
  std::string text = heading(run);
  text += aligned_table({{"", "", "median (range)"},
                         {"", "loss", quantile_cell(s.loss)},
                         {"", "max σ", quantile_cell(s.largest_weight, weight_cell)},
                         {"", "entropy of |σ|/Σ|σ| (nats)", quantile_cell(s.entropy)}});
  text += fmt::format("the token with the largest u at the start wins in {} of {} trajectories; {} diverged{}\n",
                      s.winner_first, s.trajectories, s.diverged,
                      s.stuck > 0 ? fmt::format(", {} are stuck before the horizon", s.stuck) : "");
  if (!with_checks) return text;
  std::vector<std::vector<std::string>> rows{{"check", "", "applied", "violations", "worst margin", "statement"}};
  for (const auto& tally : s.checks) {
    rows.push_back({std::string(tally.id), tally.applied > 0 ? check_mark(tally.violations == 0, colour) : "–",
                    fmt::format("{}", tally.applied), fmt::format("{}", tally.violations),
                    tally.applied > 0 ? fmt::format("{:.3g}", tally.worst_margin) : "", std::string(tally.statement)});
  }
  return text + aligned_table(rows);
}

}  // namespace polariscope::cli
