// Figure 9 of the polarisation paper: one flip, step by step, on a trained model.
#include "polariscope/base/files.h"
#include "polariscope/base/terminal.h"
#include "polariscope/experiments/experiments.h"
#include "polariscope/experiments/polarisation/flip_runs.h"
#include "polariscope/experiments/shared/multiples.h"
#include "polariscope/report/colours.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace polariscope::experiments {
namespace {

using nlohmann::json;

constexpr int kLabels = 4;

std::vector<double> numbers(const json& sequence, const char* name) {
  return sequence.at(name).get<std::vector<double>>();
}

int label_of(const json& sequence) {
  const std::vector<double> p = numbers(sequence, "probabilities");
  return static_cast<int>(std::ranges::max_element(p) - p.begin());
}

// The group that a token belongs to: labels share the vocabulary out in order, token 0 is CLS.
std::string colour_of_token(int token, int vocabulary) {
  return report::palette_colour(static_cast<std::size_t>((token - 1) / ((vocabulary - 1) / kLabels)));
}

// A sequence's tokens, the most attended first, coloured by their group.
Multiple ranking(const std::string& title, const json& sequence, int vocabulary) {
  const std::vector<int> tokens = sequence.at("tokens").get<std::vector<int>>();
  const std::vector<double> attention = numbers(sequence, "attention");
  std::vector<std::size_t> order(tokens.size() - 1);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return attention[a] > attention[b]; });
  report::CategoryChart chart{
      .x = {"attention of CLS"}, .categories = {}, .low = 0.0, .high = {}, .references = {}, .bars = true};
  for (const std::size_t i : order) {
    chart.categories.push_back(
        {fmt::format("token {}", tokens[i]), {attention[i]}, colour_of_token(tokens[i], vocabulary)});
  }
  return {.title = title, .spec = report::category_chart(chart), .table = report::table_of(chart)};
}

Multiple prediction(const json& sequence) {
  report::CategoryChart chart{
      .x = {"probability"}, .categories = {}, .low = 0.0, .high = 1.0, .references = {}, .bars = true};
  const std::vector<double> p = numbers(sequence, "probabilities");
  for (std::size_t label = 0; label < p.size(); ++label) {
    chart.categories.push_back({fmt::format("label {}", label), {p[label]}, report::palette_colour(label)});
  }
  return {.title = "what the model says of the mixed one",
          .spec = report::category_chart(chart),
          .table = report::table_of(chart)};
}

report::Section run(const Context& context) {
  const FlipRuns runs(context);
  report::Section section;
  section.method = fmt::format(
      "A softmax model with one head and one layer, vocabulary {}, the trained one of the smallest seed. Of the "
      "first pair of unseen sequences that flips, the token that CLS attends to most in the donor takes the place "
      "of the host's most attended one.",
      kHeadlineVocabulary);
  const std::vector<TrainedRun> trained = runs.smallest("softmax");
  std::vector<double> flipped;
  for (const TrainedRun& one : trained) {
    flipped.push_back(json::parse(read_file(one.folder / "flip_example.json")).at("flipped").get<bool>() ? 1.0 : 0.0);
  }
  const auto count = std::count(flipped.begin(), flipped.end(), 1.0);
  const auto all = static_cast<long long>(flipped.size());
  section.claims = {claim_of_count("A.fig9/flips", "A single token of ten turns a right prediction over.", "Figure 9",
                                   "among the unseen sequences there is such a pair, in every trained model", count,
                                   all, "models", count == all, "example", kFewestModels)};
  section.configuration = configuration_of(runs.all);
  section.differences = runs.differences(context);
  if (trained.empty()) {
    section.findings = "No model of this kind passed the filter.";
    return section;
  }

  const json example = json::parse(read_file(trained.front().folder / "flip_example.json"));
  const json &donor = example.at("donor"), &host = example.at("host"), &mixed = example.at("mixed");
  const int vocabulary = trained.front().settings.at("vocabulary").get<int>();
  const auto place = example.at("place").get<std::size_t>();
  const int token = mixed.at("tokens").at(place).get<int>();
  const double before = numbers(host, "probabilities").at(static_cast<std::size_t>(label_of(host)));
  const double after = numbers(mixed, "probabilities").at(static_cast<std::size_t>(label_of(mixed)));
  section.findings = fmt::format(
      "The host is of label {} (probability {}). Token {} of the donor, label {}, replaces one of its ten: nine tokens "
      "still are of group {}, the model says {} (probability {}), and CLS gives the new token {} of its attention. The "
      "head's flip rate is {}.",
      label_of(host), significant(before, 3), token, label_of(donor), label_of(host), label_of(mixed),
      significant(after, 3), significant(numbers(mixed, "attention").at(place), 2),
      significant(example.at("flip_rate").get<double>(), 2));
  const std::vector<Multiple> panels{ranking(fmt::format("donor, label {}", label_of(donor)), donor, vocabulary),
                                     ranking(fmt::format("host, label {}", label_of(host)), host, vocabulary),
                                     ranking("mixed: one token of the donor", mixed, vocabulary), prediction(mixed)};
  section.figures = {multiples_figure(
      {.id = "example",
       .title = "One token against nine",
       .caption = "Tokens in the order of CLS's attention, coloured by the group that they belong to; labels have the "
                  "colours of their groups.",
       .alternative =
           "Attention of CLS to the tokens of a donor, a host and the mixed sequence, and the model's answer.",
       .columns = 2,
       .share_x = false},
      panels)};
  section.runs.emplace_back("the model", trained.front().link);
  return section;
}

}  // namespace

Experiment a_fig9() {
  return {.id = "A.fig9",
          .title = "One flip, step by step",
          .source = "Polarisation paper, figure 9",
          .question = "How does a single token turn a prediction over?",
          .trainings = "token-groups",
          .run = run};
}

}  // namespace polariscope::experiments
