#include "audit_print.h"

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
                       {"maximum", mean(head.maximum)}});
    }
    layers.push_back({{"hidden_norm", mean(layer.hidden_norm)}, {"heads", std::move(heads)}});
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
