#include "polariscope/experiments/lipschitz/fig9.h"

#include "polariscope/base/parallel.h"
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/shared/measure.h"
#include "polariscope/experiments/shared/multiples.h"
#include "polariscope/metrics/dirichlet_rows.h"
#include "polariscope/metrics/entropy.h"
#include "polariscope/report/colours.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace polariscope::experiments::lipschitz::fig9 {
namespace {

constexpr double kErrors = 4.0;      // standard errors that a sampled mean may be off
constexpr double kStrong = -0.9;     // what counts as a strong negative correlation
constexpr double kRounding = 1e-12;  // of ‖p‖² e^H >= 1
constexpr std::size_t kShown = 400;  // rows in the scatter

Rows sampled(const Context& context, const Protocol& protocol, double alpha) {
  const std::int64_t all = protocol.seeds * protocol.rows, keys = protocol.keys;
  Rows sample{std::vector<double>(all), std::vector<double>(all)};
  parallel_for(all, context.threads, [&](std::int64_t i) {
    RandomStream random(context.seed + static_cast<std::uint64_t>(i / protocol.rows),
                        static_cast<std::uint64_t>(i % protocol.rows));
    std::vector<double> p(keys);
    metrics::draw_dirichlet_row(random, alpha, p);
    sample.entropy[i] = metrics::entropy(metrics::AttentionMap<double>{
                                             .values = p, .samples = 1, .heads = 1, .queries = 1, .keys = keys})
                            .front()
                            .value();
    sample.norm[i] = std::sqrt(std::inner_product(p.begin(), p.end(), p.begin(), 0.0));
  });
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

// Of each seed's rows.
Spread correlations(const Protocol& protocol, const Rows& rows) {
  const auto each = static_cast<std::size_t>(protocol.rows);
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
      value, judged(value.runs, 1, off <= kErrors), "scatter");
}

report::Figure scatter_figure(const Protocol& protocol, const Measured& samples) {
  std::vector<Multiple> panels;
  std::vector<std::string> words;
  for (std::size_t a = 0; a < samples.size(); ++a) {
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
    panels.push_back(
        {fmt::format("α = {:g}", protocol.alphas[a]), report::series_chart(chart), report::table_of(chart)});
    words.push_back(
        fmt::format("{} at α = {:g}", significant(correlations(protocol, samples[a]).median, 3), protocol.alphas[a]));
  }
  return multiples_figure(
      {.id = "scatter",
       .title = "Entropy and norm of random rows",
       .caption = fmt::format("No row lies under its floor e^(−H/2). Correlation {}. {} rows shown of each.",
                              fmt::join(words, ", "), kShown),
       .alternative = "Norm against entropy, one dot a Dirichlet row, one panel a value of α.",
       .columns = 2,
       .share_x = false},
      panels);
}

report::Figure histogram_figure(const Protocol& protocol, const Measured& samples) {
  std::vector<Multiple> panels;
  std::vector<std::string> words;
  for (std::size_t a = 0; a < samples.size(); ++a) {
    const double alpha = protocol.alphas[a];
    const report::Histogram chart{.x = {"norm of the row ‖p‖"}, .values = samples[a].norm, .marks = {{"one-hot", 1.0}}};
    panels.push_back({fmt::format("α = {:g}", alpha), report::histogram(chart), report::table_of(chart)});
    words.push_back(fmt::format("{} at α = {:g}", significant(samples[a].mean_square().value(), 4), alpha));
  }
  return multiples_figure({.id = "norms",
                           .title = "Norms of random rows",
                           .caption = fmt::format("Mean ‖p‖² is {}; a uniform row has {:g}.", in_a_row(words),
                                                  1.0 / static_cast<double>(protocol.keys)),
                           .alternative = "Histograms of the norm of Dirichlet rows, one panel a value of α.",
                           .columns = 2,
                           .share_x = false},
                          panels);
}

// ‖p‖² e^H of each row, at least 1.
std::vector<double> above_floor(const Measured& samples) {
  std::vector<double> ratios;
  for (const Rows& rows : samples) {
    for (std::size_t i = 0; i < rows.entropy.size(); ++i) {
      ratios.push_back(rows.norm[i] * rows.norm[i] * std::exp(rows.entropy[i]));
    }
  }
  return ratios;
}

Quantities quantities(const Context& context) {
  const Protocol p = protocol_of(context.preset);
  return {
      {"N", counted(p.keys)},
      {"α", listed(p.alphas)},
      {.name = "rows a seed", .value = counted(p.rows), .amount = counted(p.seeds * p.rows), .of = "rows of each α"},
      seeds_quantity(context.seed, p.seeds)};
}

report::Section run(const Context& context) {
  const Protocol protocol = protocol_of(context.preset);
  return describe(protocol, measure(context, protocol));
}

}  // namespace

metrics::Mean Rows::mean_entropy() const {
  metrics::Mean mean;
  for (const double H : entropy) mean.add(H);
  return mean;
}

metrics::Mean Rows::mean_square() const {
  metrics::Mean mean;
  for (const double one : norm) mean.add(one * one);
  return mean;
}

Protocol protocol_of(Preset preset) {
  const bool paper = preset == Preset::kPaper;
  Protocol protocol;
  protocol.rows = paper ? 10'000 : 2'000;
  protocol.seeds = paper ? 20 : 5;
  return protocol;
}

Measured measure(const Context& context, const Protocol& protocol) {
  Progress progress = context.progress(protocol.alphas.size(), "samples");
  Measured samples;
  for (const double alpha : protocol.alphas) {
    samples.push_back(sampled(context, protocol, alpha));
    progress.update(samples.size());
  }
  progress.finish();
  return samples;
}

std::vector<report::Claim> judge(const Protocol& protocol, const Measured& samples) {
  std::vector<report::Claim> claims;
  for (std::size_t a = 0; a < samples.size(); ++a) {
    const double alpha = protocol.alphas[a];
    const Spread r = correlations(protocol, samples[a]);
    claims.push_back(mean_claim(fmt::format("B.fig9/entropy-{:g}", alpha),
                                fmt::format("Rows of α = {:g} have the entropy ψ(Nα+1) − ψ(α+1).", alpha),
                                samples[a].mean_entropy(), metrics::dirichlet_mean_entropy(alpha, protocol.keys),
                                " nats"));
    claims.push_back(mean_claim(
        fmt::format("B.fig9/norm-{:g}", alpha), fmt::format("Rows of α = {:g} have the mean ‖p‖² (α+1)/(Nα+1).", alpha),
        samples[a].mean_square(), metrics::dirichlet_mean_square_norm(alpha, protocol.keys), ""));
    claims.push_back(claim(fmt::format("B.fig9/correlation-{:g}", alpha),
                           fmt::format("Where entropy is low the norm is high (α = {:g}).", alpha),
                           "Figure 9; Appendix G",
                           fmt::format("correlation of H and ‖p‖ over rows at most {:g}, every seed", kStrong), r,
                           "seeds", r.high <= kStrong, "scatter"));
  }
  const std::vector<double> ratios = above_floor(samples);
  const auto all = static_cast<long long>(ratios.size());
  const long long above = std::ranges::count_if(ratios, [](double ratio) { return ratio >= 1.0 - kRounding; });
  claims.push_back(claim_of_count(
      "B.fig9/floor", "A row's norm is at least what its entropy asks: ‖p‖² ≥ e^(−H).", "Ours (Jensen); Appendix G",
      fmt::format("‖p‖² e^H ≥ 1 − {} on every row", plain(kRounding)), above, all, "rows", above == all, "scatter"));
  return claims;
}

report::Section describe(const Protocol& p, const Measured& samples) {
  std::vector<std::string> means, correlated;
  for (std::size_t a = 0; a < samples.size(); ++a) {
    means.push_back(fmt::format("a row of α = {:g} has {} nats and ‖p‖² = {}", p.alphas[a],
                                significant(samples[a].mean_entropy().value(), 4),
                                significant(samples[a].mean_square().value(), 4)));
    correlated.push_back(in_words(correlations(p, samples[a]), "seeds"));
  }
  report::Section section;
  section.method = fmt::format(
      "Rows p ~ Dirichlet(α·1) over N = {} keys, α = {:g}: {} rows a seed, {} seeds, drawn through logarithms of Gamma "
      "numbers because at α = {:g} most shares are below the smallest double.",
      p.keys, fmt::join(p.alphas, " and "), counted(p.rows), p.seeds, std::ranges::min(p.alphas));
  section.findings =
      fmt::format("In the mean {}. Entropy and norm are correlated by {}. The smallest ‖p‖² e^H of any row is {}.",
                  fmt::join(means, ", "), in_a_row(correlated), significant(spread_of(above_floor(samples)).low, 6));
  section.claims = judge(p, samples);
  section.figures = {scatter_figure(p, samples), histogram_figure(p, samples)};
  section.differences = "N is figure 2's; the exact means and the floor of the norm are ours.";
  return section;
}

}  // namespace polariscope::experiments::lipschitz::fig9

namespace polariscope::experiments {

Experiment b_fig9() {
  return {.id = "B.fig9",
          .title = "Low entropy is a large norm",
          .source = "Lipschitz paper, figure 9 and Appendix G",
          .question = "How closely do the entropy of a row and its norm go together?",
          .protocol = lipschitz::fig9::quantities,
          .run = lipschitz::fig9::run};
}

}  // namespace polariscope::experiments
