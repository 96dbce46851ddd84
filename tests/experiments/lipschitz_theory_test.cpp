// The experiments of the Lipschitz paper that train no model: on measurements that are made up every claim holds, and
// each fails where it must.
#include "planted.h"
#include "polariscope/experiments/lipschitz/bound9.h"
#include "polariscope/experiments/lipschitz/eq20.h"
#include "polariscope/experiments/lipschitz/fig2.h"
#include "polariscope/experiments/lipschitz/fig9.h"
#include "polariscope/experiments/lipschitz/prop5_2.h"
#include "polariscope/metrics/dirichlet_rows.h"

#include <fmt/format.h>

#include <numbers>

namespace polariscope::testing {
namespace {

namespace paper = experiments::lipschitz;
using experiments::ControlledKind;
using experiments::ControlledRows;

// --- figure 2 ---------------------------------------------------------------------------------------

ControlledRows rows_of(double variance, double entropy) {
  ControlledRows rows;
  rows.score_variance = variance;
  rows.entropy.add(entropy);
  return rows;
}

// Two seeds of entropies at each scale.
std::vector<std::vector<ControlledRows>> seeds_of(const std::vector<double>& scales,
                                                  const std::vector<double>& entropies) {
  std::vector<ControlledRows> seed;
  for (std::size_t s = 0; s < scales.size(); ++s) seed.push_back(rows_of(scales[s] * scales[s], entropies[s]));
  return {seed, seed};
}

// H̃ = Var^exponent / 10, so that entropy stays below log N.
std::vector<std::vector<ControlledRows>> power_law(const paper::fig2::Protocol& p, double exponent) {
  std::vector<double> entropies;
  for (const double scale : p.small_scales) {
    const double h = 0.1 * std::pow(scale * scale, exponent);
    entropies.push_back(p.log_keys() * h / (1.0 + h));
  }
  return seeds_of(p.small_scales, entropies);
}

paper::fig2::Measured as_the_theory_says(const paper::fig2::Protocol& p) {
  paper::fig2::Measured m;
  for (auto* sweep : {&m.paper, &m.small_keys, &m.small_both}) sweep->resize(4);
  m.paper[experiments::kSoftmax] = seeds_of(p.scales, {5.2, 4.5, 3.0, 1.0});
  m.paper[experiments::kQkLayerNorm] = seeds_of(p.scales, {5.0, 5.0, 5.0, 5.0});
  m.paper[experiments::kReluKernel] = seeds_of(p.scales, {5.0, 5.0, 5.0, 5.0});
  m.paper[experiments::kElu1Kernel] = seeds_of(p.scales, {5.25, 5.22, 5.2, 5.18});
  m.small_both[experiments::kSoftmax] = power_law(p, -1.0);
  m.small_both[experiments::kElu1Kernel] = power_law(p, -0.5);
  m.small_both[experiments::kReluKernel] = power_law(p, 0.0);
  m.small_keys[experiments::kElu1Kernel] = power_law(p, -0.5);
  return m;
}

TEST(FigureTwoOfTheLipschitzPaper, EachClaimCanFail) {
  using paper::fig2::Measured;
  const paper::fig2::Protocol p;
  const auto at = [](ControlledKind kind, std::size_t scale, double entropy) {
    return [=](Measured& m) {
      ControlledRows& rows = m.paper[kind][1][scale];
      rows = rows_of(rows.score_variance, entropy);
    };
  };
  const auto small = [&](paper::fig2::Sweep Measured::*sweep, ControlledKind kind, double exponent) {
    return [=](Measured& m) { (m.*sweep)[kind][1] = power_law(p, exponent)[0]; };
  };
  Measured none;
  for (auto* sweep : {&none.paper, &none.small_keys, &none.small_both}) sweep->resize(4);
  expect_each_claim_can_fail<paper::fig2::Protocol, Measured>(
      paper::fig2::judge, p, as_the_theory_says(p), none,
      {{"B.fig2/softmax", at(experiments::kSoftmax, 2, 4.6)},
       {"B.fig2/relu", at(experiments::kReluKernel, 3, 4.6)},
       {"B.fig2/elu1", at(experiments::kElu1Kernel, 3, 4.8)},
       {"B.fig2/qk-layernorm", at(experiments::kQkLayerNorm, 0, 4.6)},
       {"B.fig2/relu-below", at(experiments::kReluKernel, 1, 5.25)},
       {"B.fig2/order", [](Measured& m) { m.paper[experiments::kElu1Kernel][1] = m.paper[experiments::kSoftmax][1]; }},
       {"B.fig2/order",
        [](Measured& m) { m.paper[experiments::kReluKernel][1] = m.paper[experiments::kElu1Kernel][1]; }},
       {"B.fig2/small-softmax", small(&Measured::small_both, experiments::kSoftmax, -0.9)},
       {"B.fig2/small-elu1", small(&Measured::small_both, experiments::kElu1Kernel, -0.6)},
       {"B.fig2/small-relu", small(&Measured::small_both, experiments::kReluKernel, 0.1)},
       {"B.fig2/small-elu1-keys", small(&Measured::small_keys, experiments::kElu1Kernel, -1.0)}});
}

// --- figure 9 ---------------------------------------------------------------------------------------

TEST(FigureNineOfTheLipschitzPaper, EachClaimCanFail) {
  using paper::fig9::Measured;
  paper::fig9::Protocol p;
  p.rows = 2;
  p.seeds = 2;
  // Two rows a seed to either side of the exact means, the one of more entropy with the smaller norm.
  Measured good;
  for (const double alpha : p.alphas) {
    const double H = metrics::dirichlet_mean_entropy(alpha, p.keys),
                 square = metrics::dirichlet_mean_square_norm(alpha, p.keys);
    const double low = std::sqrt(0.99 * square), high = std::sqrt(1.01 * square);
    good.push_back({.entropy = {H - 0.01, H + 0.01, H - 0.01, H + 0.01}, .norm = {high, low, high, low}});
  }
  std::vector<Plant<Measured>> plants{{"B.fig9/floor", [](Measured& m) { m[1].norm[3] = 0.8; }}};
  for (std::size_t a = 0; a < p.alphas.size(); ++a) {
    const auto id = [&](const char* what) { return fmt::format("B.fig9/{}-{:g}", what, p.alphas[a]); };
    plants.push_back({id("entropy"), [=](Measured& m) {
                        for (double& H : m[a].entropy) H += 0.1;
                      }});
    plants.push_back({id("norm"), [=](Measured& m) {
                        for (double& norm : m[a].norm) norm *= 1.1;
                      }});
    plants.push_back({id("correlation"), [=](Measured& m) { std::swap(m[a].norm[2], m[a].norm[3]); }});
  }
  expect_each_claim_can_fail<paper::fig9::Protocol, Measured>(paper::fig9::judge, p, good, Measured(p.alphas.size()),
                                                              plants);
}

// --- the norm, the bound, equation (20) -------------------------------------------------------------

TEST(PropositionFiveTwo, EachClaimCanFail) {
  using paper::prop5_2::Family;
  using paper::prop5_2::Measured;
  const auto map = [](Family family, double norm) { return paper::prop5_2::Map{family, 1.0, 4, norm, 0.5, 0.0}; };
  const double floor = paper::prop5_2::causal_floor(4);
  EXPECT_NEAR(floor * floor, 1.0 + 1.0 / 2 + 1.0 / 3 + 1.0 / 4, 1e-12);
  const Measured good{map(Family::kSoftmax, 1.0), map(Family::kDirichlet, 2.0), map(Family::kCausalSoftmax, floor),
                      map(Family::kCausalSoftmax, 2.0)};
  expect_each_claim_can_fail<paper::prop5_2::Protocol, Measured>(
      paper::prop5_2::judge, {}, good, {},
      {{"B.prop5.2/range", [](Measured& maps) { maps[0].norm = 0.999; }},
       {"B.prop5.2/range", [](Measured& maps) { maps[1].norm = 2.001; }},
       {"B.prop5.2/attained", [](Measured& maps) { maps[0].norm = 1.001; }},
       {"B.prop5.2/attained", [](Measured& maps) { maps[1].norm = 1.9; }},
       {"B.prop5.2/entropy", [](Measured& maps) { maps[3].row_margin = -1e-9; }},
       {"B.prop5.2/causal", [=](Measured& maps) { maps[2].norm = 0.999 * floor; }},
       {"B.prop5.2/causal", [](Measured& maps) { maps[3].norm = 2.001; }}});
}

TEST(BoundNine, EachClaimCanFail) {
  using paper::bound9::Measured;
  paper::bound9::Protocol p;
  p.sizes = {{20, 4}};
  p.scales = {0.01, 40.0};
  p.seeds = 1;
  // ‖P‖_F makes three quarters of the rise of the right side and still is four thousandths of it.
  const auto layer = [&](double scale, double left, double norm, double second, double relative_entropy) {
    return paper::bound9::Layer{scale,
                                p.sizes.front(),
                                {.left = left,
                                 .frobenius_norm = norm,
                                 .spectral_norm = 1.0,
                                 .largest_token = 1.0,
                                 .score_growth = second / std::numbers::sqrt2,
                                 .score_singular = 10.0 * std::numbers::sqrt2,
                                 .entropy = relative_entropy * std::log(20.0)}};
  };
  const Measured good{layer(0.01, 1.0, 1.0, 1000.0, 0.99), layer(40.0, 2.0, 4.0, 1001.0, 0.05)};
  EXPECT_NEAR(good[1].bound.printed(), 1005.0, 1e-9);
  EXPECT_NEAR(good[1].bound.provable(), 11.0, 1e-9);
  expect_each_claim_can_fail<paper::bound9::Protocol, Measured>(
      paper::bound9::judge, p, good, {},
      {{"B.bound9/printed", [](Measured& layers) { layers[1].bound.left = 1006.0; }},
       {"B.bound9/provable", [](Measured& layers) { layers[0].bound.left = 11.1; }},
       {"B.bound9/norm-drives", [](Measured& layers) { layers[1].bound.frobenius_norm = 1.9; }},
       {"B.bound9/share", [](Measured& layers) { layers[1].bound.frobenius_norm = 11.0; }},
       {"B.bound9/steeper", [](Measured& layers) { layers[1].bound.left = 1.0; }},
       {"B.bound9/ever-steeper", [](Measured& layers) { layers[0].bound.left = 3.0; }}});
}

TEST(EquationTwenty, EachClaimCanFail) {
  using paper::eq20::Measured;
  const Measured good{{.differential = {3.0, 2.0, 1.0}, .attention = {5.0, 4.0, 3.0}},
                      {.differential = {3.0, 2.0, 1.0}, .attention = {5.0, 4.0, 3.0}}};
  expect_each_claim_can_fail<paper::eq20::Protocol, Measured>(
      paper::eq20::judge, {}, good, {},
      {{"B.eq20/same-way",
        [](Measured& pairs) {
          pairs[1].differential = {1.0, 2.0, 3.0};
        }},
       {"B.eq20/same-way", [](Measured& pairs) { pairs[0].differential[2] = 2.0; }},
       {"B.eq20/attention", [](Measured& pairs) { pairs[0].attention[1] = 2.9; }}});
}

}  // namespace
}  // namespace polariscope::testing
