#include "polariscope/experiments/language/language_claims.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <utility>

namespace polariscope::experiments {
namespace {

constexpr double kFallen = 0.5;  // of uniform rows' entropy: a layer below it has lost much of its own

// Every run of the attention has the property; `further` follows the count. Inconclusive without runs.
report::Claim claim_of_attention(std::string id, std::string statement, std::string source, std::string criterion,
                                 const RunsOfAttention& of, const std::function<bool(const LanguageRun&)>& property,
                                 const std::string& further, std::string evidence) {
  const long long count = std::ranges::count_if(of.runs, property), runs = std::ssize(of.runs);
  report::Claim claim = claim_of_count(std::move(id), std::move(statement), std::move(source), std::move(criterion),
                                       count, runs, "runs", count == runs, std::move(evidence));
  claim.measured += "; " + further;
  return claim;
}

}  // namespace

std::vector<report::Claim> language_claims(const LanguageRuns& runs, const std::string& experiment,
                                           const std::string& figure) {
  const std::string source = "Section 4.1, figure " + figure;
  const auto id = [&](const char* name) { return experiment + "/" + name; };
  const auto fallen = [](const LanguageRun& run) { return run.lowest_entropy() < kFallen; };
  const auto lowest = [&](const RunsOfAttention& of) {
    return fmt::format("lowest H of a layer over uniform rows' {}",
                       in_words(over_runs(of, &LanguageRun::lowest_entropy), "runs"));
  };
  std::vector<report::Claim> claims;
  struct Named {
    const char *id, *name;
    std::size_t number;
  };
  for (const auto& [short_name, name, number] :
       {Named{"softmax", "softmax", 0}, Named{"qk-layernorm", "QK-LayerNorm", 1}}) {
    const RunsOfAttention& of = runs.attentions.at(number);
    claims.push_back(claim_of_attention(
        id(short_name), fmt::format("With {} entropy falls.", name), source,
        fmt::format("mean entropy of some layer below {:g} % of uniform rows' at some step", 100 * kFallen), of, fallen,
        lowest(of), "entropy"));
  }
  for (const auto& [short_name, name, number] : {Named{"relu", "ReLU kernel", 2}, Named{"elu1", "ELU+1 kernel", 3}}) {
    const RunsOfAttention& of = runs.attentions.at(number);
    claims.push_back(claim_of_attention(
        id(short_name), fmt::format("The {} keeps its entropy.", name), source,
        fmt::format("mean entropy of every layer above {:g} % of uniform rows' at every step", 100 * kFallen), of,
        [&](const LanguageRun& run) { return !fallen(run); }, lowest(of), "entropy"));
  }
  const Spread softmax_norm = over_runs(runs.attentions[0], &LanguageRun::final_norm);
  const Spread relu_norm = over_runs(runs.attentions[2], &LanguageRun::final_norm),
               elu_norm = over_runs(runs.attentions[3], &LanguageRun::final_norm);
  claims.push_back(claim_in_words(
      id("norm"), "‖P‖_F rises with softmax and stays near uniform rows' with the kernels.", source,
      "at the last step, mean over layers: softmax's median above both kernels' medians",
      fmt::format("softmax {}, ReLU kernel {}, ELU+1 kernel {}; uniform rows {:.2f}", in_words(softmax_norm, "runs"),
                  in_words(relu_norm, "runs"), in_words(elu_norm, "runs"), runs.uniform_norm()),
      softmax_norm,
      judged(std::min({softmax_norm.runs, relu_norm.runs, elu_norm.runs}), 1,
             softmax_norm.median > std::max(relu_norm.median, elu_norm.median)),
      "training"));
  const Spread softmax_loss = over_runs(runs.attentions[0], &LanguageRun::final_validation_loss),
               relu_loss = over_runs(runs.attentions[2], &LanguageRun::final_validation_loss);
  claims.push_back(claim_in_words(
      id("loss"), "The ReLU kernel ends with the lower validation loss.", source,
      "median last validation loss of the ReLU kernel below softmax's, over learning rates and seeds",
      fmt::format("{} against {}", in_words(relu_loss, "runs", 3, "nats"), in_words(softmax_loss, "runs", 3, "nats")),
      relu_loss, judged(std::min(softmax_loss.runs, relu_loss.runs), 1, relu_loss.median < softmax_loss.median),
      "training"));
  return claims;
}

}  // namespace polariscope::experiments
