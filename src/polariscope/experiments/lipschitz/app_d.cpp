// Appendix D of the Lipschitz paper: SGD beside Adam and AdamW, each at its best learning rate.
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/lipschitz/regression_runs.h"
#include "polariscope/experiments/shared/multiples.h"
#include "polariscope/report/colours.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace polariscope::experiments {
namespace {

using nlohmann::json;

constexpr double kDifferent = 0.1;  // of log N: entropies at equal loss that are further apart differ
constexpr double kEarly = 2.0;      // times the lowest loss that both come to
constexpr std::size_t kWindow = 20;

struct Looks {
  const char *optimiser, *name, *colour;
};
constexpr std::array<Looks, 3> kOptimisers{
    Looks{"sgd", "SGD", "red"}, {"adam", "Adam", "blue"}, {"adamw", "AdamW", "green"}};

struct AtRate {
  const Looks* optimiser;
  double rate;
  std::vector<RegressionRun> runs;

  std::string name() const { return fmt::format("{} at {:g}", optimiser->name, rate); }
  // Of a run that diverged infinite, so that a rate that half of the runs do not survive is never the best.
  double loss() const {
    std::vector<double> losses;
    for (const RegressionRun& run : runs) losses.push_back(run.diverged() ? 1e300 : run.final_loss());
    return spread_of(std::move(losses)).median;
  }
};

std::vector<AtRate> read(const RegressionRuns& runs, const AttentionVariant& variant) {
  std::vector<AtRate> found;
  for (const Looks& looks : kOptimisers) {
    for (const json& rate : runs.all.values_of("learning_rate")) {
      AtRate one{&looks, rate.get<double>(),
                 runs.read_with(variant, {{"optimiser", looks.optimiser}, {"learning_rate", rate}})};
      if (!one.runs.empty()) found.push_back(std::move(one));
    }
  }
  return found;
}

// Of an optimiser, the one with the lowest median final loss; no runs where it was not trained.
AtRate best_of(const std::vector<AtRate>& all, const Looks& looks) {
  AtRate best{&looks, std::nan(""), {}};
  for (const AtRate& one : all) {
    if (one.optimiser == &looks && (best.runs.empty() || one.loss() < best.loss())) best = one;
  }
  return best;
}

// A training as windows of steps: median loss, and median entropy over log N, the mean over layers.
struct Course {
  std::vector<double> loss, entropy;
};
Course course_of(const RegressionRun& run) {
  Course course;
  const std::vector<double>&loss = run.log().number("loss"), entropy = run.mean_over_layers("entropy");
  for (std::size_t at = 0; at + kWindow <= loss.size(); at += kWindow) {
    const auto window = [=](const std::vector<double>& values) {
      const auto first = values.begin() + static_cast<std::ptrdiff_t>(at);
      return spread_of({first, first + static_cast<std::ptrdiff_t>(kWindow)}).median;
    };
    course.loss.push_back(window(loss));
    course.entropy.push_back(window(entropy) / run.uniform_entropy());
  }
  return course;
}

double entropy_at(const Course& course, double loss) {
  const auto found = std::ranges::find_if(course.loss, [=](double value) { return value <= loss; });
  return found == course.loss.end() ? std::nan("")
                                    : course.entropy[static_cast<std::size_t>(found - course.loss.begin())];
}

// Entropy of `other` less that of `sgd`, of runs of one seed, each where its loss first comes to `times` the lowest
// that both come to.
std::vector<double> differences_at_equal_loss(const AtRate& sgd, const AtRate& other, double times) {
  std::vector<double> differences;
  for (const RegressionRun& one : sgd.runs) {
    for (const RegressionRun& two : other.runs) {
      if (one.trained().settings.at("seed") != two.trained().settings.at("seed")) continue;
      const Course a = course_of(one), b = course_of(two);
      if (a.loss.empty() || b.loss.empty()) continue;
      const double loss = times * std::max(std::ranges::min(a.loss), std::ranges::min(b.loss));
      differences.push_back(entropy_at(b, loss) - entropy_at(a, loss));
    }
  }
  return differences;
}

std::string fate_in_words(const AtRate& of) {
  return fmt::format("{}: {} of {} collapse, {} diverge, loss {}", of.name(), count_of(of.runs, collapses),
                     of.runs.size(), count_of(of.runs, diverges),
                     in_words(over_runs(of.runs, &RegressionRun::final_loss), "runs"));
}

struct Measured {
  std::vector<AtRate> all;
  std::array<AtRate, 3> best;  // in the order of kOptimisers

  long long fewest(std::size_t other) const {
    return static_cast<long long>(std::min(best[0].runs.size(), best[other].runs.size()));
  }
};
Measured measure(const RegressionRuns& runs, const AttentionVariant& variant) {
  Measured m{read(runs, variant), {}};
  for (std::size_t i = 0; i < kOptimisers.size(); ++i) m.best[i] = best_of(m.all, kOptimisers[i]);
  return m;
}

// Who collapses, who diverges, and with which entropy at equal loss.
report::Claim alike_claim(const char* id, const Measured& m, std::size_t other) {
  const AtRate &sgd = m.best[0], &adam = m.best[other];
  const Spread apart = spread_of(differences_at_equal_loss(sgd, adam, 1.0));
  const bool alike = count_of(sgd.runs, collapses) == count_of(adam.runs, collapses) &&
                     count_of(sgd.runs, diverges) == count_of(adam.runs, diverges) &&
                     std::abs(apart.median) < kDifferent;
  return claim_in_words(
      id, fmt::format("Softmax shows no notable difference between SGD and {}.", adam.optimiser->name), "Appendix D",
      fmt::format(
          "each at its best rate, as many runs collapse and as many diverge, and the median difference of entropy at "
          "equal loss is under {:g} of log N; inconclusive under {} runs of either",
          kDifferent, kFewestSeeds),
      fmt::format("{}. {}. Entropy at equal loss, {} less SGD: {} of log N", fate_in_words(sgd), fate_in_words(adam),
                  adam.optimiser->name, in_words(apart, "seeds")),
      apart, judged(std::min(m.fewest(other), apart.runs), kFewestSeeds, alike), "fates");
}

report::Claim lower_claim(const char* id, const char* statement, const Measured& m, double times) {
  const Spread apart = spread_of(differences_at_equal_loss(m.best[0], m.best[1], times));
  return claim_in_words(
      id, statement, "Ours",
      fmt::format("each at its best rate, entropy of Adam's run below that of SGD's of the same seed, where each first "
                  "comes to "
                  "{} loss that both reach, for every seed; inconclusive under {}",
                  times == 1.0 ? "the lowest" : fmt::format("{:g} times the lowest", times), kFewestSeeds),
      fmt::format("Adam less SGD {} of log N", in_words(apart, "seeds")), apart,
      judged(apart.runs, kFewestSeeds, apart.high < 0.0), "course");
}

report::Claim kernel_claim(const Measured& m, std::size_t optimiser) {
  const AtRate& of = m.best[optimiser];
  return claim_of_every(
      fmt::format("B.appD/relu-{}", of.optimiser->optimiser),
      fmt::format("With {} the ReLU kernel keeps its entropy and stays finite.", of.optimiser->name), "Appendix D",
      fmt::format("at its best rate every layer's mean entropy above {:g} % of log N at every step, and no "
                  "loss or gradient that is not finite",
                  100 * kKept),
      of.runs, [](const RegressionRun& run) { return keeps_entropy(run) && !run.diverged(); },
      of.runs.empty() ? "" : fate_in_words(of), "training");
}

report::SeriesChart lines(const Measured& m, report::Axis y, const Reading& reading) {
  report::SeriesChart chart{.x = {"step"}, .y = std::move(y), .series = {}, .references = {}};
  for (const AtRate& of : m.best) {
    if (!of.runs.empty())
      add_lines(chart, of.name(), report::named_colour(of.optimiser->colour), of.runs, reading, true);
  }
  return chart;
}

report::Figure fates_figure(const Measured& softmax) {
  report::CategoryChart chart{.x = {"lowest H/log N of a layer"},
                              .categories = {},
                              .low = 0.0,
                              .high = 1.0,
                              .references = {{"collapsed", kCollapsed}}};
  for (const AtRate& of : softmax.all) {
    report::Category category{.name = fmt::format("{} · {}, {} of {}", of.name(), count_of(of.runs, collapses),
                                                  count_of(of.runs, diverges), of.runs.size()),
                              .values = {},
                              .colour = report::named_colour(of.optimiser->colour)};
    for (const RegressionRun& run : of.runs) category.values.push_back(run.lowest_entropy());
    chart.categories.push_back(std::move(category));
  }
  return {.id = "fates",
          .title = "Softmax: how low entropy comes, by optimiser and rate",
          .caption =
              "One dot a run: its lowest mean entropy of any layer at any step. Beside each name: how many of its runs "
              "collapse, and diverge.",
          .alternative = "Lowest relative entropy of softmax by optimiser and learning rate, one dot a run.",
          .spec = report::category_chart(chart),
          .table = report::table_of(chart)};
}

report::Figure course_figure(const Measured& softmax) {
  report::SeriesChart chart{.x = {"loss", report::Scale::kLog},
                            .y = {"H/log N, mean over layers"},
                            .series = {},
                            .references = {},
                            .points = true};
  for (const AtRate& of : softmax.best) {
    report::Series series{.name = of.name(),
                          .x = {},
                          .y = {},
                          .low = {},
                          .high = {},
                          .colour = report::named_colour(of.optimiser->colour)};
    for (const RegressionRun& run : of.runs) {
      const Course course = course_of(run);
      series.x.insert(series.x.end(), course.loss.begin(), course.loss.end());
      series.y.insert(series.y.end(), course.entropy.begin(), course.entropy.end());
    }
    if (!series.x.empty()) chart.series.push_back(std::move(series));
  }
  return {.id = "course",
          .title = "Softmax: entropy at equal loss",
          .caption = fmt::format("One mark {} steps of a run, medians; training goes from right to left.", kWindow),
          .alternative = "Entropy against loss of softmax, one colour an optimiser.",
          .spec = report::series_chart(chart),
          .table = report::table_of(chart)};
}

report::Section run(const Context& context) {
  const RegressionRuns runs(context);
  const Measured softmax = measure(runs, {"softmax"}), relu = measure(runs, {"relu_kernel/sum"});
  report::Section section;
  section.method =
      runs.method() +
      " Each optimiser's best learning rate is the one with the lowest median final loss, runs that diverge counting "
      "as infinite. Betas, ε and AdamW's decay are PyTorch's own.";
  std::vector<std::string> words;
  for (const AtRate& of : softmax.all) words.push_back(fate_in_words(of));
  section.findings = fmt::format("Softmax. {}.", fmt::join(words, ". "));
  section.claims = {alike_claim("B.appD/adam", softmax, 1), alike_claim("B.appD/adamw", softmax, 2),
                    lower_claim("B.appD/early", "Early on Adam has the lower entropy at equal loss.", softmax, kEarly),
                    lower_claim("B.appD/late", "In the end Adam has the lower entropy at equal loss.", softmax, 1.0)};
  for (std::size_t i = 0; i < kOptimisers.size(); ++i) section.claims.push_back(kernel_claim(relu, i));
  const auto entropy = [](const RegressionRun& one) { return one.mean_over_layers("entropy"); };
  const std::string lines_in_words =
      "Thin: each run, up to its last finite step; thick: the median while half of the runs go on.";
  section.figures = {
      multiples_figure(
          {.id = "training",
           .title = "Loss and entropy by optimiser, each at its best rate",
           .caption = lines_in_words,
           .alternative = "Loss and entropy against step, softmax and the ReLU kernel, one colour an optimiser.",
           .columns = 2},
          std::vector<Multiple>{
              panel("softmax, loss", lines(softmax, {"training loss", report::Scale::kLog}, capped("loss", 30.0))),
              panel("softmax, entropy", lines(softmax, {"mean entropy over layers H (nats)"}, entropy)),
              panel("ReLU kernel, loss", lines(relu, {"training loss", report::Scale::kLog}, capped("loss", 30.0))),
              panel("ReLU kernel, entropy", lines(relu, {"mean entropy over layers H (nats)"}, entropy))}),
      fates_figure(softmax), course_figure(softmax)};
  for (const AtRate& of : softmax.all) {
    for (const RegressionRun& one : of.runs) {
      section.runs.emplace_back(fmt::format("{}, seed {}", of.name(), one.trained().settings.at("seed").dump()),
                                one.trained().link);
    }
  }
  section.configuration = configuration_of(runs.all);
  section.differences = runs.differences(context);
  return section;
}

}  // namespace

Experiment b_app_d() {
  return {.id = "B.appD",
          .title = "SGD, Adam and AdamW",
          .source = "Lipschitz paper, appendix D",
          .question = "Does the optimiser make a difference to the collapse?",
          .trainings = "regression",
          .run = run};
}

}  // namespace polariscope::experiments
