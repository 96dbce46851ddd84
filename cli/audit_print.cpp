#include "audit_print.h"

#include "polariscope/audit/summary.h"
#include "polariscope/base/terminal.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

namespace polariscope::cli {
namespace {

using metrics::Mean;

nlohmann::ordered_json number(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
}

nlohmann::ordered_json mean(const Mean& of) {
  return {{"mean", number(of.value())}, {"sd", number(of.standard_deviation())}, {"count", of.count()}};
}

nlohmann::ordered_json values(const std::vector<Mean>& means) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Mean& of : means) list.push_back(number(of.value()));
  return list;
}

nlohmann::ordered_json sinks(const std::vector<audit::SinkKey>& keys) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const audit::SinkKey& key : keys)
    list.push_back({{"text", key.text}, {"token", key.token}, {"share", key.share}});
  return list;
}

nlohmann::ordered_json largest(const std::vector<audit::LargeActivation>& activations) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const audit::LargeActivation& of : activations) {
    list.push_back({{"text", of.text},
                    {"token", of.token},
                    {"channel", of.channel},
                    {"value", of.value},
                    {"ratio", number(of.ratio)}});
  }
  return list;
}

nlohmann::ordered_json summary(const audit::AuditResult& result) {
  nlohmann::ordered_json numbers = nlohmann::ordered_json::object();
  for (const audit::Scalar& scalar : audit::summary_scalars()) numbers[scalar.name] = number(scalar.of(result));
  return numbers;
}

struct Place {
  std::int64_t layer, head;
  const audit::HeadResult* result;
};

// Those whose rows are farthest from uniform first.
std::vector<Place> by_relative_entropy(const audit::AuditResult& result) {
  std::vector<Place> places;
  for (std::int64_t l = 0; l < std::ssize(result.layers); ++l) {
    const auto& heads = result.layers[l].heads;
    for (std::int64_t h = 0; h < std::ssize(heads); ++h) places.push_back({l, h, &heads[h]});
  }
  const auto key = [](const Place& place) {
    const double value = place.result->relative_entropy.value();
    return std::isnan(value) ? std::numeric_limits<double>::infinity() : value;
  };
  std::ranges::stable_sort(places, {}, key);
  return places;
}

}  // namespace

nlohmann::ordered_json as_json(const models::Description& model, const audit::AuditResult& result,
                               const AuditedTexts& audited) {
  nlohmann::ordered_json layers = nlohmann::ordered_json::array(), texts = nlohmann::ordered_json::array();
  for (const audit::LayerResult& layer : result.layers) {
    nlohmann::ordered_json heads = nlohmann::ordered_json::array();
    for (const audit::HeadResult& head : layer.heads) {
      heads.push_back({{"entropy", mean(head.entropy)},
                       {"relative_entropy", mean(head.relative_entropy)},
                       {"first_key", mean(head.first_key)},
                       {"first_visible_key", mean(head.first_visible_key)},
                       {"maximum", mean(head.maximum)},
                       {"flat_share", mean(head.flat_share)},
                       {"sparsity", mean(head.sparsity)},
                       {"row_sum", mean(head.row_sum)},
                       {"logit_variance", mean(head.logit_variance)},
                       {"largest_logit", number(head.largest_logit)},
                       {"beta", number(head.beta)},
                       {"support", mean(head.support)},
                       {"leading", mean(head.leading)},
                       {"query_norm", mean(head.query_norm)},
                       {"key_norm", mean(head.key_norm)},
                       {"first_value_ratio", mean(head.first_value_ratio)},
                       {"relative_entropies", head.relative_entropies},
                       {"entropy_by_position", values(head.entropy_by_position)},
                       {"received", values(head.received)},
                       {"sinks", sinks(head.sinks)}});
    }
    layers.push_back({{"hidden_norm", mean(layer.hidden_norm)},
                      {"kurtosis", mean(layer.kurtosis)},
                      {"median_activation", mean(layer.median_activation)},
                      {"massive", layer.massive},
                      {"largest", largest(layer.largest)},
                      {"heads", std::move(heads)}});
  }
  for (std::size_t t = 0; t < result.texts.size(); ++t) {
    const audit::TextResult& text = result.texts[t];
    nlohmann::ordered_json one{{"tokens", text.tokens}, {"predicted", text.predicted}, {"nll", number(text.nll)}};
    if (!audited.tokenizer.empty()) {
      one["name"] = audited.texts[t].name;
      one["left_out"] = audited.texts[t].left_out;
      one["first"] = audited.texts[t].first;
    }
    texts.push_back(std::move(one));
  }
  return {{"version", 1},
          {"architecture", model.architecture},
          {"causal", model.causal},
          {"vocabulary", model.vocabulary},
          {"width", model.width},
          {"tokenizer",
           audited.tokenizer.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(audited.tokenizer)},
          {"interrupted", result.interrupted},
          {"summary", summary(result)},
          {"nll", mean(result.nll)},
          {"texts", std::move(texts)},
          {"layers", std::move(layers)}};
}

std::string in_words(const models::Description& model, const audit::AuditResult& result, const AuditedTexts& audited) {
  std::int64_t tokens = 0, left_out = 0;
  for (const audit::TextResult& text : result.texts) tokens += text.tokens;
  for (const AuditedText& text : audited.texts) left_out += text.left_out;
  std::string words = fmt::format("{}: {} layers, width {}, vocabulary {}; {} {}, {} tokens\n", model.architecture,
                                  model.layers.size(), model.width, model.vocabulary, result.texts.size(),
                                  result.texts.size() == 1 ? "text" : "texts", tokens);
  if (left_out > 0) words += fmt::format("{} tokens were cut off: see --context\n", left_out);
  if (result.nll.count() > 0) {
    words += fmt::format("loss {} nats per token, perplexity {}\n", significant(result.nll.value()),
                         significant(std::exp(result.nll.value())));
  }
  std::vector<std::vector<std::string>> numbers;
  for (const audit::Scalar& scalar : audit::summary_scalars()) {
    numbers.push_back({std::string(scalar.name), significant(scalar.of(result)), std::string(scalar.definition)});
  }
  words += aligned_table(numbers);
  constexpr std::size_t kShown = 12;
  std::vector<std::vector<std::string>> rows{
      {"layer", "head", "entropy", "of the most there could be", "on the first key seen", "largest weight"}};
  const auto percent = [](const Mean& of) { return fmt::format("{:.1f} %", 100.0 * of.value()); };
  for (const auto& [layer, head, found] : by_relative_entropy(result)) {
    if (rows.size() > kShown) break;
    rows.push_back({fmt::format("{}", layer), fmt::format("{}", head), significant(found->entropy.value()),
                    percent(found->relative_entropy), percent(found->first_visible_key), percent(found->maximum)});
  }
  return words + "heads whose rows are farthest from uniform:\n" + aligned_table(rows);
}

}  // namespace polariscope::cli
