// sample_report OUT.html TABLES: a page with every kind of chart, long tables and hostile text, from small
// simulations of the reduced value-softmax model: u' = s·σ, a' = s·J u, s = sigmoid(-σ·u).
#include "polariscope/report/charts.h"
#include "polariscope/report/colours.h"
#include "polariscope/report/page.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <numbers>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace polariscope;
using Vector = std::vector<double>;

constexpr std::size_t kCoordinates = 8;

struct Weights {
  std::string name;
  std::function<double(double)> f, slope;
  bool normalised;
  std::string colour;
};

Vector weights_of(const Weights& weights, const Vector& a) {
  Vector sigma(a.size());
  std::ranges::transform(a, sigma.begin(), weights.f);
  if (weights.normalised) {
    const double sum = std::reduce(sigma.begin(), sigma.end()) + 1e-10;
    for (double& share : sigma) share /= sum;
  }
  return sigma;
}

struct State {
  Vector u, a;
};

// d/dτ with τ = log t.
State slope(const Weights& weights, const State& state, double t) {
  const Vector sigma = weights_of(weights, state.a);
  const double margin = std::inner_product(sigma.begin(), sigma.end(), state.u.begin(), 0.0);
  const double rate = t / (1 + std::exp(margin));
  double sum = 0;
  for (const double a : state.a) sum += weights.f(a);
  State out{state.u, state.a};
  for (std::size_t i = 0; i < sigma.size(); ++i) {
    out.u[i] = rate * sigma[i];
    const double force = weights.normalised ? (state.u[i] - margin) / sum : state.u[i];
    out.a[i] = rate * weights.slope(state.a[i]) * force;
  }
  return out;
}

State moved(const State& state, const State& along, double by) {
  State out = state;
  for (std::size_t i = 0; i < out.u.size(); ++i) {
    out.u[i] += by * along.u[i];
    out.a[i] += by * along.a[i];
  }
  return out;
}

struct Flow {
  Vector time, entropy, largest;
  std::vector<Vector> sigma, u;  // [coordinates][points]
  Vector initial;
  int winner = 0;
};

Flow simulate(const Weights& weights, unsigned seed, double a0, double until) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal(0.0, 0.1);
  State state{Vector(kCoordinates), Vector(kCoordinates, a0)};
  for (double& u : state.u) u = normal(random);
  Flow flow;
  flow.initial = state.u;
  flow.sigma.resize(kCoordinates);
  flow.u.resize(kCoordinates);
  const double step = 0.002;
  for (double tau = std::log(0.01); tau < std::log(until); tau += step) {
    const double t = std::exp(tau);
    const Vector sigma = weights_of(weights, state.a);
    flow.time.push_back(t);
    const double sum = std::reduce(sigma.begin(), sigma.end()) + 1e-300;
    double entropy = 0;
    for (std::size_t i = 0; i < kCoordinates; ++i) {
      flow.sigma[i].push_back(sigma[i]);
      flow.u[i].push_back(state.u[i]);
      const double share = sigma[i] / sum;
      if (share > 0) entropy -= share * std::log(share);
    }
    flow.entropy.push_back(entropy);
    flow.largest.push_back(*std::ranges::max_element(sigma) / sum);
    const State half = moved(state, slope(weights, state, t), step / 2);
    state = moved(state, slope(weights, half, t * std::exp(step / 2)), step);  // midpoint rule
  }
  flow.winner = static_cast<int>(std::ranges::max_element(state.a) - state.a.begin());
  return flow;
}

double logistic(double z) { return 1 / (1 + std::exp(-z)); }
double one(double) { return 1; }
double positive_part(double z) { return std::max(z, 0.0); }
double step_of(double z) { return z > 0 ? 1.0 : 0.0; }
double logistic_slope(double z) { return logistic(z) * (1 - logistic(z)); }

const std::vector<Weights>& all_weights() {
  static const auto exponential = [](double z) { return std::exp(z); };
  static const std::vector<Weights> all = {
      {"softmax", exponential, exponential, true, report::named_colour("red")},
      {"relu/sum", positive_part, step_of, true, report::named_colour("blue")},
      {"sigmoid/sum", logistic, logistic_slope, true, report::named_colour("green")},
      {"sigmoid", logistic, logistic_slope, false, report::named_colour("green")},
      {"square/sum", [](double z) { return z * z; }, [](double z) { return 2 * z; }, true,
       report::named_colour("pink")},
      {"identity", [](double z) { return z; }, one, false, report::named_colour("grey")},
  };
  return all;
}

report::Figure figure(std::string id, std::string title, std::string caption, std::string alternative,
                      nlohmann::json spec, report::Table table) {
  return {std::move(id),          std::move(title), std::move(caption),
          std::move(alternative), std::move(spec),  std::move(table)};
}

report::CoordinateChart sigma_chart(const Flow& flow) {
  return {{"time t", report::Scale::kLog},
          {"weight σ(a)", report::Scale::kLog},
          flow.time,
          flow.sigma,
          flow.initial,
          flow.winner,
          {}};
}

report::CoordinateChart u_chart(const Flow& flow) {
  return {{"time t", report::Scale::kLog}, {"alignment u = Vᵀβ"}, flow.time, flow.u, flow.initial, flow.winner, {}};
}

report::Section polarisation() {
  const Flow flow = simulate(all_weights()[0], 3, 0, 1e6);
  report::Section section;
  section.id = "A.fig2";
  section.title = "Softmax weights polarise under logistic loss";
  section.source = "Polarisation paper, figure 2";
  section.question = "Does gradient flow on the logistic loss drive softmax weights to a single coordinate?";
  section.method =
      "The reduced value–softmax system with k = 8 was integrated in log t from a = 0 and small random u. "
      "Every coordinate of σ(a) and of u was recorded at 9 000 points of time.";
  section.findings =
      "The coordinate that starts largest wins: its weight is 0.97 at t = 10⁶, and every other weight "
      "falls in the same order in which it started. Alignment grows for the winner alone, like log t.";
  report::CoordinateChart sigma = sigma_chart(flow);
  sigma.references = {{"uniform, 1/k", 1.0 / kCoordinates}};
  section.figures.push_back(
      figure("sigma", "Weights σ(a) against time",
             "One weight takes everything; the others fall in the order in which they started.",
             "Eight lines start together at one eighth. One rises to nearly one by t = 100, seven "
             "fall, and none cross.",
             report::coordinate_chart(sigma), report::table_of(sigma)));
  const std::vector<report::Panel> both = {{"Weights", report::coordinate_chart(sigma_chart(flow))},
                                           {"Alignments", report::coordinate_chart(u_chart(flow))}};
  section.figures.push_back(figure("both", "Weights and alignments, side by side",
                                   "The winner's alignment starts to grow when its weight leaves the others.",
                                   "Two panels with one time axis: weights on the left, alignments on the right.",
                                   report::panels(both, 2, true), report::table_of(u_chart(flow))));
  section.claims = {
      {"A.fig2/one-hot", "One softmax weight comes within 5 % of one.", "Figure 2, left",
       "max σ > 0.95 at the last point", "0.975 ± 0.003 (5 seeds)", 0.975, 0.972, 0.978, 5, report::Verdict::kHolds,
       "sigma"},
      {"A.fig2/order", "The order of the weights never changes after the start.", "Figure 2, left",
       "no two weights cross at any recorded time", "0 crossings", 0, 0, 0, 5, report::Verdict::kHolds, "both"}};
  section.configuration = {{"loss", "logistic"}, {"d = k", "8"}, {"V₀", "0.1·N(0,1)"}, {"a₀", "0"}, {"until", "1e6"}};
  section.differences =
      "The paper descends by steps of 0.1; here the flow itself is integrated, so time is continuous.";
  section.command = "polariscope reproduce A.fig2 --preset quick --seed 3";
  section.wall_seconds = 1.84;
  return section;
}

report::Section normalisations() {
  report::SeriesChart entropy{
      {"time t", report::Scale::kLog}, {"entropy H(σ) (nats)"}, {}, {{"log k", std::log(8.0)}}, false};
  report::SeriesChart finals{{"largest initial u"}, {"final largest weight"}, {}, {{"threshold 0.9", 0.9}}, true};
  for (const Weights& weights : all_weights()) {
    report::Series median{weights.name, {}, {}, {}, {}, weights.colour, !weights.normalised};
    report::Series dots{weights.name, {}, {}, {}, {}, weights.colour, false};
    std::vector<Vector> runs;
    for (unsigned seed = 0; seed < 5; ++seed) {
      const Flow flow = simulate(weights, seed, 1, 1e4);
      median.x = flow.time;
      runs.push_back(flow.entropy);
      dots.x.push_back(*std::ranges::max_element(flow.initial));
      dots.y.push_back(flow.largest.back());
    }
    for (std::size_t i = 0; i < median.x.size(); ++i) {
      Vector at;
      for (const Vector& run : runs) at.push_back(run[i]);
      std::ranges::sort(at);
      median.low.push_back(at.front());
      median.y.push_back(at[2]);
      median.high.push_back(at.back());
    }
    entropy.series.push_back(median);
    finals.series.push_back(dots);
  }
  report::Section section;
  section.id = "A.fig13";
  section.title = "Which normalisations polarise";
  section.source = "Polarisation paper, figure 13";
  section.question = "Is it the normalisation, the exponential, or both that make attention collapse?";
  section.method =
      "Six re-weightings start from a₀ = 1 with five seeds each. The line is the median, the band goes from "
      "the smallest to the largest of the five.";
  section.findings =
      "Softmax, normalised ReLU and squares lose their entropy; elementwise sigmoid and identity keep most of it.";
  section.figures.push_back(figure("entropy", "Entropy against time",
                                   "Three of the six fall to zero; the dashed, unnormalised ones do not.",
                                   "Six lines start at log 8. Softmax, normalised ReLU and squares fall to zero.",
                                   report::series_chart(entropy), report::table_of(entropy)));
  section.figures.push_back(
      figure("finals", "Where each run ends", "The winner's head start does not decide how far it gets.",
             "Thirty points in two clusters.", report::series_chart(finals), report::table_of(finals)));
  section.claims = {
      {"A.fig13/relu-sum", "Normalised ReLU reaches one-hot under logistic loss.", "Figure 13, bottom",
       "max σ > 0.95 in every run", "1.000 (5 seeds)", 1, 1, 1, 5, report::Verdict::kHolds, "entropy"},
      {"A.fig13/sigmoid", "Elementwise sigmoid does not polarise.", "Section 3.4, figure 13",
       "max share < 0.5 in every run", "0.61 (0.14 … 0.97)", 0.61, 0.14, 0.97, 5, report::Verdict::kFails, "finals"},
      {"A.fig13/l2", "Squares reach one-hot later than softmax does.", "Figure 13, bottom",
       "t at H < 0.1 larger than softmax's in 5 of 5 seeds", "3 of 5 seeds", 0.6, 0, 1, 5,
       report::Verdict::kInconclusive, "entropy"}};
  section.configuration = {{"a₀", "1"}, {"seeds", "0, 1, 2, 3, 4"}, {"until", "1e4"}};
  section.command = "polariscope reproduce A.fig13 --preset quick";
  section.wall_seconds = 74;
  return section;
}

report::Section long_times() {
  report::SeriesChart ratio{
      {"time t", report::Scale::kLog}, {"scaled ratio k/2 · log² t · σᵢ/σ₁"}, {}, {{"theory, 1", 1.0}}, false};
  report::SeriesChart signed_axis{
      {"time t", report::Scale::kLog}, {"difference from the limit", report::Scale::kSymlog}, {}, {}, false};
  for (int i = 0; i < 6; ++i) {
    report::Series run{"runs", {}, {}, {}, {}, report::named_colour("red"), false, true};
    for (int e = 20; e <= 2990; ++e) {
      const double log_t = 0.1 * e * std::numbers::ln10;
      run.x.push_back(std::pow(10.0, 0.1 * e));
      run.y.push_back(1 - (2 + 0.5 * i) / (log_t + 2) + i * std::sin(log_t / 3) / (log_t + 40));
    }
    ratio.series.push_back(run);
    if (i == 3) {
      run.name = "median";
      run.faint = false;
      ratio.series.push_back(run);
      report::Series difference = run;
      difference.name = "difference";
      for (double& y : difference.y) y -= 1;
      signed_axis.series.push_back(difference);
    }
  }
  report::Section section;
  section.id = "A.lemB.1";
  section.title = "One-hot comes with the square of log t";
  section.source = "Polarisation paper, lemma B.1";
  section.question = "How fast do the losing weights vanish?";
  section.method = "The flow was followed to t = 10²⁹⁹. Each loser's weight is scaled by the rate that theory gives.";
  section.findings = "The scaled ratio tends to 1: no loser vanishes faster than 1/log² t.";
  section.figures.push_back(figure("rate", "The scaled ratio to t = 10²⁹⁹", "Every run tends to the line at 1.",
                                   "Six pale lines and their median approach one.", report::series_chart(ratio),
                                   report::table_of(ratio)));
  section.figures.push_back(figure(
      "difference", "What is left of the difference", "The difference shrinks on both sides of zero.",
      "One line on a signed logarithmic axis.", report::series_chart(signed_axis), report::table_of(signed_axis)));
  section.claims = {{"A.lemB.1/rate", "σᵢ/σ₁ falls like 2/(k·log² t).", "Lemma B.1 (b), sharpened",
                     "slope of log σᵢ within 2 % of −2", "−1.994 ± 0.004 (6 runs)", -1.994, -1.998, -1.990, 6,
                     report::Verdict::kHolds, "rate"}};
  section.command = "polariscope reproduce A.lemB.1";
  section.wall_seconds = 0.4;
  return section;
}

report::Section maps() {
  report::HeatMap map{
      {"scale of V₀"}, {"scale of a₀"}, "final entropy H (nats)", {}, {}, {}, {}, {}, {{0, 11}, {1, 11}}, true};
  for (int c = 0; c < 12; ++c) map.columns.push_back(std::pow(10.0, -3 + c / 3.0));
  for (int r = 0; r < 9; ++r) {
    map.rows.push_back(0.25 * r);
    Vector row;
    for (int c = 0; c < 12; ++c)
      row.push_back(r == 6 && c > 8 ? std::nan("") : 2.08 / (1 + std::exp(0.7 * (c - r - 2))));
    map.values.push_back(row);
  }
  std::mt19937 random(1);
  std::lognormal_distribution<double> margin(-9, 2);
  report::Histogram margins;
  margins.x = {"smallest margin of a trajectory", report::Scale::kLog};
  margins.marks = {{"tolerance", 1e-9}, {"median", std::exp(-9.0)}};
  for (int i = 0; i < 100000; ++i) margins.values.push_back(margin(random));
  margins.values.push_back(-1);
  report::Histogram linear;
  linear.x = {"largest weight σ"};
  linear.bins = 30;
  linear.marks = {{"threshold 0.9", 0.9}};
  std::uniform_real_distribution<double> uniform(0, 1);
  for (int i = 0; i < 20000; ++i) linear.values.push_back(1 - std::pow(uniform(random), 3));
  report::Section section;
  section.id = "A.phase";
  section.title = "Where in parameter space weights collapse";
  section.source = "Ours, a map over scales";
  section.question = "Which initial scales end one-hot, and how safe are the theorems' margins there?";
  section.method =
      "108 cells, a hundred trajectories each. The histogram takes the smallest margin of each of 100 001 "
      "trajectories.";
  section.findings = "Collapse covers the upper right; three cells ended before the horizon and are empty.";
  section.figures.push_back(
      figure("map", "Final entropy over both scales", "Large values collapse whatever the scores start from.",
             "A map of twelve by nine cells, high entropy at the left.", report::heat_map(map), report::table_of(map)));
  const std::vector<report::Panel> two = {{"All margins", report::histogram(margins)},
                                          {"Largest weights", report::histogram(linear)}};
  section.figures.push_back(figure("margins", "Margins of theorem 3.2", "No trajectory comes near the tolerance.",
                                   "A bell over twelve decades, far right of the line at 1e-9.",
                                   report::histogram(margins), report::table_of(margins)));
  section.figures.push_back(figure("two", "Margins and weights", "The safe trajectories are the collapsed ones.",
                                   "Two histograms side by side.", report::panels(two, 2), report::table_of(linear)));
  report::CategoryChart dots{{"share of cells"}, {}, 0.0, 1.0, {{"one half", 0.5}}};
  for (const char* name : {"softmax · 12 of 12", "sigmoid/sum · 11 of 12", "nothing · 0 of 12"}) {
    dots.categories.push_back({name, {}});
    for (int i = 0; i < 12 && name[0] != 'n'; ++i)
      dots.categories.back().values.push_back(std::round(4 * uniform(random)) / 4);
  }
  const report::CategoryChart bars{{"probability"}, {{"label 0", {0.2}}, {"label 1", {0.8}}}, 0.0, 1.0, {}, true};
  section.figures.push_back(figure("runs", "Every run of three functions", "Two spread out, one has no run.",
                                   "Rows of dots.", report::category_chart(dots), report::table_of(dots)));
  const std::vector<report::Panel> categories = {{"Runs", report::category_chart(dots)},
                                                 {"Labels", report::category_chart(bars)}};
  section.figures.push_back(figure("categories", "Runs and labels", "Dots beside bars.", "Two charts side by side.",
                                   report::panels(categories, 2), report::table_of(dots)));
  report::HeatMap words{.x = {"looked at"},
                        .y = {"token"},
                        .value_title = "weight",
                        .columns = {0, 1, 2, 3},
                        .rows = {0, 1, 2, 3},
                        .values = {},
                        .low = {},
                        .high = {},
                        .outlined = {},
                        .square = true,
                        .downwards = true,
                        .unmarked = true,
                        .column_names = {"0 The", "1 quick", "2 brown", "3 extraordinarily"},
                        .row_names = {"0 The", "1 quick", "2 brown", "3 extraordinarily"}};
  for (int r = 0; r < 4; ++r) {
    words.values.emplace_back(4, std::nan(""));
    for (int c = 0; c <= r; ++c) words.values[r][c] = 1.0 / (r + 1);
  }
  section.figures.push_back(figure("words", "Weights over words", "Every row looks at all before it.",
                                   "A triangle of four rows.", report::heat_map(words), report::table_of(words)));
  section.listings = {
      {"cells",
       "Some cells",
       "Press a heading.",
       {{{"name", std::vector<std::string>{"b", "a", "c"}}, {"share", Vector{0.25, std::nan(""), 1e-7}}}}}};
  section.runs = {{"softmax, seed 0", "runs/quick/runs/00001"}, {"sigmoid & others, seed 0", "runs/quick/runs/00002"}};
  section.claims = {{"A.phase/margin", "The order of a is kept on every trajectory.", "Theorem 3.2",
                     "margin ≥ −1e-9 on every trajectory", "smallest 2.1e-08 (100 001 trajectories)", 2.1e-8, 2.1e-8,
                     4.0, 100001, report::Verdict::kHolds, "margins"}};
  section.configuration = {{"cells", "12 × 9"}, {"trajectories a cell", "100"}};
  section.command = "polariscope reproduce A.phase";
  section.wall_seconds = 4000;
  return section;
}

report::Section hostile() {
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  const std::string evil =
      "</script><script>window.hostile = 1</script><img src=x onerror=\"window.hostile = 1\">'&\"{{style}}";
  report::Section section;
  section.id = "X." + evil;
  section.title = "Text that must stay text: " + evil;
  section.source = evil;
  section.question = section.method = section.findings = section.differences = section.command = evil;
  report::CoordinateChart chart{{evil, report::Scale::kLog},
                                {evil, report::Scale::kLog},
                                {0, 1, 10, 100, nan},
                                {{0, 1, nan, 2, 3}, {-1, infinity, 2, 1e-30, 5}},
                                {1, 2},
                                0,
                                {{evil, 1}}};
  section.figures.push_back(figure(evil, evil, evil, evil, report::coordinate_chart(chart), report::table_of(chart)));
  report::SeriesChart empty{{"x", report::Scale::kLog},
                            {"y", report::Scale::kLog},
                            {{evil, {nan}, {-1}, {}, {}, "", false}, {"b", {}, {}, {}, {}, "", true}},
                            {},
                            false};
  report::Table table = report::table_of(empty);
  table.columns.push_back({"a,\"b\"\n", std::vector<std::string>{"=1+1,\"\r\n"}});
  section.figures.push_back(figure("empty", "A chart without a drawable point", "An empty plot, and no error.",
                                   "An empty plot.", report::series_chart(empty), table));
  report::HeatMap constant{{"x"}, {"y"}, "v", {1}, {1}, {{2}}, {}, {}, {}};
  section.figures.push_back(figure("constant", "A map of one cell", "One cell.", "One cell.",
                                   report::heat_map(constant), report::table_of(constant)));
  report::Table wide;
  wide.columns = {{"row", Vector(100000)}, {"value", Vector(100000)}};
  auto& rows = std::get<Vector>(wide.columns[0].values);
  std::iota(rows.begin(), rows.end(), 0.0);
  for (std::size_t i = 0; i < rows.size(); ++i) std::get<Vector>(wide.columns[1].values)[i] = std::sqrt(rows[i]);
  std::get<Vector>(wide.columns[1].values)[7] = infinity;
  report::SeriesChart line{
      {"row"}, {"value"}, {{"√row", rows, std::get<Vector>(wide.columns[1].values), {}, {}, "", false}}, {}, false};
  section.figures.push_back(figure("long", "A hundred thousand rows", "The line is thinned, its table is not.",
                                   "A square root.", report::series_chart(line), wide));
  section.claims = {{evil, evil, evil, evil, evil, nan, nan, nan, 1, report::Verdict::kFails, evil}};
  section.configuration = {{evil, evil}};
  return section;
}

void write(const std::filesystem::path& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  out.close();
  if (!out) throw std::runtime_error("cannot write " + path.string());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: sample_report OUT.html TABLES   (each figure's table goes to the folder TABLES as CSV)\n",
               stderr);
    return 2;
  }
  report::Page page;
  page.title = "Polariscope: the value–softmax laboratory";
  page.preset = "quick";
  page.command = "polariscope reproduce --preset quick --seed 0";
  page.date = "2026-02-03T10:20:30Z";
  page.machine = "sample machine, 2 threads";
  page.version = "0.1.0 (a1b2c3d)";
  page.wall_seconds = 83.2;
  page.sections = {polarisation(), normalisations(), long_times(), maps()};
  page.unfinished = {"A.fig10", "A.rows"};
  page.definitions = {
      {"entropy H", "−Σ p log p over the weights of a row, in nats; 0·log 0 = 0."},
      {"margin", "the smallest slack of an inequality along a trajectory; negative where it is violated."}};
  std::filesystem::create_directories(argv[2]);
  for (const report::Section& section : page.sections) {
    for (const report::Figure& drawn : section.figures) {
      write(std::filesystem::path(argv[2]) / (section.id + "-" + drawn.id + ".csv"), drawn.table.csv());
    }
  }
  page.sections.push_back(hostile());
  write(argv[1], report::render(page));
  return 0;
}
