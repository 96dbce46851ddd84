#include "polariscope/audit/variations.h"

#include "polariscope/base/error.h"
#include "polariscope/base/interrupt.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

namespace polariscope::audit {
namespace {

std::optional<double> number_of(std::string_view text) {
  double number = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(number)) return std::nullopt;
  return number;
}

// A sink joins a softmax that has none.
void add_sink(models::AttentionDescription& of, double logit, std::string_view variation) {
  if (of.sink) throw Error("what if {}: this model's attention has a learned sink already", variation);
  if (of.weights != models::AttentionWeights::kSoftmax) {
    throw Error("what if {}: a sink joins a softmax, and this model's weights are sigmoid", variation);
  }
  of.constant_sink = logit;
}

void cap(models::AttentionDescription& of, double limit, std::string_view variation) {
  if (!of.alibi.slopes.empty() || of.logit_bias != 0.0) {
    throw Error("what if {}: a cap does not go together with this model's bias on its logits", variation);
  }
  of.soft_cap = limit;
}

// Of the whole logit inside a cap; a scaled bias is divided with the scale.
void heat(models::AttentionDescription& of, double temperature) {
  of.scale /= temperature;
  of.logit_bias /= temperature;
  if (of.alibi.scaled) return;
  for (double& slope : of.alibi.slopes) slope /= temperature;
}

struct Run {
  const models::PretrainedModel& model;
  AuditOptions options;

  Variation of(std::string name, const models::Description& description, Texts texts) const {
    const AuditResult result = audit(description, model, texts, options);
    if (result.interrupted) throw Interrupted();
    Variation found{.name = std::move(name), .nll = result.nll.value()};
    metrics::Mean entropies, sinks;
    for (const LayerResult& layer : result.layers) {
      metrics::Mean entropy, sink;
      for (const HeadResult& head : layer.heads) {
        entropy.add(head.relative_entropy.value());
        sink.add(head.first_visible_key.value());
      }
      found.layer_entropies.push_back(entropy.value());
      found.layer_sinks.push_back(sink.value());
      entropies.add(entropy);
      sinks.add(sink);
      if (!layer.largest.empty()) {
        found.largest_activation = std::max(found.largest_activation, std::abs(layer.largest.front().value));
      }
    }
    found.relative_entropy = entropies.value();
    found.first_visible_key = sinks.value();
    return found;
  }
};

// The second pass over keys says nothing here, and progress is of several runs.
AuditOptions quietly(AuditOptions options, std::int64_t run, std::int64_t runs) {
  options.keys = options.row_arrays = false;
  if (options.progress) {
    options.progress = [=, whole = options.progress](double share) {
      whole((static_cast<double>(run) + share) / static_cast<double>(runs));
    };
  }
  return options;
}

}  // namespace

std::vector<Variation> first_token_variations(const models::PretrainedModel& model, Texts texts,
                                              std::span<const FirstToken> tokens, const AuditOptions& options) {
  std::vector<Variation> found;
  for (const FirstToken& token : tokens) {
    std::vector<std::vector<std::int32_t>> begun(texts.begin(), texts.end());
    AuditOptions own = quietly(options, std::ssize(found), std::ssize(tokens));
    if (token.id >= 0) {
      for (std::vector<std::int32_t>& text : begun) text.insert(text.begin(), token.id);
      own.unpredicted = 1;
    }
    found.push_back(Run{model, own}.of(token.name, model.description(), begun));
  }
  return found;
}

models::Description varied(const models::Description& model, std::string_view variation) {
  const std::size_t equals = variation.find('=');
  const std::string_view name = variation.substr(0, equals);
  const std::optional<double> number =
      equals == std::string_view::npos ? std::nullopt : number_of(variation.substr(equals + 1));
  const bool positive = number && *number > 0.0;
  models::Description result = model;
  for (models::LayerDescription& layer : result.layers) {
    models::AttentionDescription& of = layer.attention;
    if (variation == "softmax1") {
      add_sink(of, 0.0, variation);
    } else if (name == "sink" && number) {
      add_sink(of, *number, variation);
    } else if (name == "soft-cap" && positive) {
      cap(of, *number, variation);
    } else if (name == "temperature" && positive) {
      heat(of, *number);
    } else {
      throw Error(
          "what if \"{}\": expected softmax1, sink=Z, soft-cap=C or temperature=T, with Z a number and C, T > 0",
          variation);
    }
  }
  return result;
}

std::vector<Variation> what_if(const models::PretrainedModel& model, Texts texts,
                               std::span<const std::string> variations, const AuditOptions& options) {
  const std::int64_t runs = 1 + std::ssize(variations);
  std::vector<models::Description> descriptions{model.description()};
  for (const std::string& variation : variations) descriptions.push_back(varied(model.description(), variation));
  std::vector<Variation> found;
  for (std::int64_t run = 0; run < runs; ++run) {
    found.push_back(Run{model, quietly(options, run, runs)}.of(run == 0 ? "as it is" : variations[run - 1],
                                                               descriptions[run], texts));
  }
  return found;
}

}  // namespace polariscope::audit
