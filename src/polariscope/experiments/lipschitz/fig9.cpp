// Figure 9 and Appendix G of the Lipschitz paper: entropy and norm of random rows of attention.
#include "polariscope/base/parallel.h"
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/shared/measure.h"
#include "polariscope/experiments/shared/multiples.h"
#include "polariscope/metrics/dirichlet_rows.h"
#include "polariscope/metrics/entropy.h"
#include "polariscope/metrics/mean.h"
#include "polariscope/report/colours.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

namespace polariscope::experiments {
namespace {

constexpr std::array<double, 2> kAlphas{0.1, 0.001};
constexpr std::int64_t kKeys = 200;
constexpr double kErrors = 4.0;      // standard errors that a sampled mean may be off
constexpr double kStrong = -0.9;     // what counts as a strong negative correlation
constexpr double kRounding = 1e-12;  // of ‖p‖² e^H >= 1
constexpr std::size_t kShown = 400;  // rows in the scatter

// Rows of one α: entropy, norm.
struct Rows {
  std::vector<double> entropy, norm;  // [seeds * rows], a seed's rows together
  metrics::Mean mean_entropy, mean_square;
};

Rows sampled(const Context& context, double alpha, long long seeds, std::int64_t rows) {
  Rows sample{std::vector<double>(seeds * rows), std::vector<double>(seeds * rows), {}, {}};
  parallel_for(seeds * rows, context.threads, [&](std::int64_t i) {
    RandomStream random(context.seed + static_cast<std::uint64_t>(i / rows), static_cast<std::uint64_t>(i % rows));
    std::vector<double> p(kKeys);
    metrics::draw_dirichlet_row(random, alpha, p);
    sample.entropy[i] = metrics::entropy(metrics::AttentionMap<double>{
                                             .values = p, .samples = 1, .heads = 1, .queries = 1, .keys = kKeys})
                            .front()
                            .value();
    sample.norm[i] = std::sqrt(std::inner_product(p.begin(), p.end(), p.begin(), 0.0));
  });
  for (const double H : sample.entropy) sample.mean_entropy.add(H);
  for (const double norm : sample.norm) sample.mean_square.add(norm * norm);
  return sample;
}

double correlation(std::span<const double> x, std::span<const double> y) {
  metrics::Mean mx, my;
  for (const double value : x) mx.add(value);
  for (const double value : y) my.add(value);
  double together = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) together += (x[i] - mx.value()) * (y[i] - my.value());
  return together / static_cast<double>(x.size()) / (mx.standard_deviation() * my.standard_deviation());
}

Spread correlations(const Rows& rows, long long seeds) {
  const std::size_t each = rows.entropy.size() / static_cast<std::size_t>(seeds);
  std::vector<double> values;
  for (std::size_t from = 0; from < rows.entropy.size(); from += each) {
    values.push_back(
        correlation(std::span(rows.entropy).subspan(from, each), std::span(rows.norm).subspan(from, each)));
  }
  return spread_of(std::move(values));
}

double standard_error(const metrics::Mean& mean) {
  return mean.standard_deviation() / std::sqrt(static_cast<double>(mean.count()));
}

report::Claim mean_claim(std::string id, std::string statement, const metrics::Mean& mean, double exact,
                         std::string unit) {
  const double off = std::abs(mean.value() - exact) / standard_error(mean);
  const Spread value{mean.value(), mean.value() - standard_error(mean), mean.value() + standard_error(mean),
                     static_cast<long long>(mean.count())};
  return claim_in_words(
      std::move(id), std::move(statement), "Appendix G; exact mean ours",
      fmt::format("the mean over sampled rows is within {:g} standard errors of the exact one", kErrors),
      fmt::format("{} ± {}{} against {} ({} rows)", significant(mean.value(), 5), significant(standard_error(mean), 2),
                  unit, significant(exact, 5), mean.count()),
      value, off <= kErrors ? report::Verdict::kHolds : report::Verdict::kFails, "scatter");
}

report::Figure scatter_figure(const std::array<Rows, kAlphas.size()>& samples,
                              const std::array<Spread, kAlphas.size()>& r) {
  std::vector<Multiple> panels;
  for (std::size_t a = 0; a < kAlphas.size(); ++a) {
    const std::size_t shown = std::min(kShown, samples[a].entropy.size());
    report::Series rows{
        .name = "rows",
        .x = {samples[a].entropy.begin(), samples[a].entropy.begin() + static_cast<std::ptrdiff_t>(shown)},
        .y = {samples[a].norm.begin(), samples[a].norm.begin() + static_cast<std::ptrdiff_t>(shown)},
        .low = {},
        .high = {},
        .colour = report::palette_colour(0)};
    report::Series floor{
        .name = "floor e^(−H/2)", .x = {}, .y = {}, .low = {}, .high = {}, .colour = report::palette_colour(1)};
    const auto [low, high] = std::ranges::minmax(rows.x);
    for (int i = 0; i <= 40; ++i) {
      floor.x.push_back(std::lerp(low, high, i / 40.0));
      floor.y.push_back(std::exp(-0.5 * floor.x.back()));
    }
    const report::SeriesChart chart{.x = {"entropy of the row H (nats)"},
                                    .y = {"norm of the row ‖p‖"},
                                    .series = {std::move(rows), std::move(floor)},
                                    .references = {},
                                    .points = true};
    panels.push_back({fmt::format("α = {:g}", kAlphas[a]), report::series_chart(chart), report::table_of(chart)});
  }
  return multiples_figure(
      {.id = "scatter",
       .title = "Entropy and norm of random rows",
       .caption = fmt::format("No row lies under its floor e^(−H/2). Correlation {} at α = {:g}, {} "
                              "at α = {:g}. {} rows shown of each.",
                              significant(r[0].median, 3), kAlphas[0], significant(r[1].median, 3), kAlphas[1], kShown),
       .alternative = "Norm against entropy, one dot a Dirichlet row, for two values of α.",
       .columns = 2,
       .share_x = false},
      panels);
}

report::Figure histogram_figure(const std::array<Rows, kAlphas.size()>& samples) {
  std::vector<Multiple> panels;
  for (std::size_t a = 0; a < kAlphas.size(); ++a) {
    const report::Histogram chart{.x = {"norm of the row ‖p‖"}, .values = samples[a].norm, .marks = {{"one-hot", 1.0}}};
    panels.push_back({fmt::format("α = {:g}", kAlphas[a]), report::histogram(chart), report::table_of(chart)});
  }
  return multiples_figure(
      {.id = "norms",
       .title = "Norms of random rows",
       .caption =
           fmt::format("Mean ‖p‖² is {} at α = {:g} and {} at α = {:g}; a uniform row has {:g}.",
                       significant(samples[0].mean_square.value(), 4), kAlphas[0],
                       significant(samples[1].mean_square.value(), 4), kAlphas[1], 1.0 / static_cast<double>(kKeys)),
       .alternative = "Histograms of the norm of Dirichlet rows for two values of α.",
       .columns = 2,
       .share_x = false},
      panels);
}

report::Section run(const Context& context) {
  const long long seeds = context.paper() ? 20 : 5;
  const std::int64_t rows = context.paper() ? 10'000 : 2'000;
  Progress progress = context.progress(kAlphas.size(), "samples");
  std::array<Rows, kAlphas.size()> samples;
  std::array<Spread, kAlphas.size()> r{};
  for (std::size_t a = 0; a < kAlphas.size(); ++a) {
    samples[a] = sampled(context, kAlphas[a], seeds, rows);
    r[a] = correlations(samples[a], seeds);
    progress.update(a + 1);
  }
  progress.finish();

  report::Section section;
  long long below = 0, all = 0;
  double closest = std::numeric_limits<double>::infinity();  // ‖p‖² e^H, at least 1
  for (std::size_t a = 0; a < kAlphas.size(); ++a) {
    const double alpha = kAlphas[a];
    section.claims.push_back(mean_claim(fmt::format("B.fig9/entropy-{:g}", alpha),
                                        fmt::format("Rows of α = {:g} have the entropy ψ(Nα+1) − ψ(α+1).", alpha),
                                        samples[a].mean_entropy, metrics::dirichlet_mean_entropy(alpha, kKeys),
                                        " nats"));
    section.claims.push_back(mean_claim(fmt::format("B.fig9/norm-{:g}", alpha),
                                        fmt::format("Rows of α = {:g} have the mean ‖p‖² (α+1)/(Nα+1).", alpha),
                                        samples[a].mean_square, metrics::dirichlet_mean_square_norm(alpha, kKeys), ""));
    section.claims.push_back(claim(fmt::format("B.fig9/correlation-{:g}", alpha),
                                   fmt::format("Where entropy is low the norm is high (α = {:g}).", alpha),
                                   "Figure 9; Appendix G",
                                   fmt::format("correlation of H and ‖p‖ over rows at most {:g}, every seed", kStrong),
                                   r[a], "seeds", r[a].high <= kStrong, "scatter"));
    for (std::size_t i = 0; i < samples[a].entropy.size(); ++i, ++all) {
      const double ratio = samples[a].norm[i] * samples[a].norm[i] * std::exp(samples[a].entropy[i]);
      closest = std::min(closest, ratio);
      below += ratio < 1.0 - kRounding ? 1 : 0;
    }
  }
  section.claims.push_back(claim_of_count(
      "B.fig9/floor", "A row's norm is at least what its entropy asks: ‖p‖² ≥ e^(−H).", "Ours (Jensen); Appendix G",
      "‖p‖² e^H ≥ 1 − 1e-12 on every row", all - below, all, "rows", below == 0, "scatter"));
  section.method = fmt::format(
      "Rows p ~ Dirichlet(α·1) over N = {} keys, α = {:g}: {} rows a seed, {} seeds, drawn through logarithms of Gamma "
      "numbers because at α = 0.001 most shares are below the smallest double.",
      kKeys, fmt::join(kAlphas, " and "), rows, seeds);
  section.findings = fmt::format(
      "At α = {:g} a row has {} nats and ‖p‖² = {} in the mean, at α = {:g} {} nats and {}. Entropy and norm are "
      "correlated by {} and {}. The smallest ‖p‖² e^H of any row is {}.",
      kAlphas[0], significant(samples[0].mean_entropy.value(), 4), significant(samples[0].mean_square.value(), 4),
      kAlphas[1], significant(samples[1].mean_entropy.value(), 3), significant(samples[1].mean_square.value(), 4),
      in_words(r[0], "seeds"), in_words(r[1], "seeds"), significant(closest, 6));
  section.figures = {scatter_figure(samples, r), histogram_figure(samples)};
  section.configuration = {{"N", fmt::format("{}", kKeys)},
                           {"α", fmt::format("{}", fmt::join(kAlphas, ", "))},
                           {"rows a seed", fmt::format("{}", rows)},
                           {"seeds", fmt::format("{} to {}", context.seed, context.seed + seeds - 1)}};
  section.differences = "N is figure 2's; the exact means and the floor of the norm are ours.";
  if (!context.paper()) section.differences += " 10 000 rows of each α where the paper preset takes 200 000.";
  return section;
}

}  // namespace

Experiment b_fig9() {
  return {.id = "B.fig9",
          .title = "Low entropy is a large norm",
          .source = "Lipschitz paper, figure 9 and Appendix G",
          .question = "How closely do the entropy of a row and its norm go together?",
          .run = run};
}

}  // namespace polariscope::experiments
