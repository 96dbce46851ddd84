#include "polariscope/audit/record.h"

#include "polariscope/audit/summary.h"
#include "polariscope/base/error.h"
#include "polariscope/base/files.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <limits>

namespace polariscope::audit {
namespace {

using metrics::Mean;
using Json = nlohmann::ordered_json;

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }
double number_of(const Json& json) {
  return json.is_null() ? std::numeric_limits<double>::quiet_NaN() : json.get<double>();
}

// A writer and a reader of one thing stand side by side, so that they say the same.

Json written(const Mean& mean) {
  Json json{{"mean", number(mean.value())}, {"sd", number(mean.standard_deviation())}, {"count", mean.count()}};
  if (mean.left_out() > 0) json["left_out"] = mean.left_out();
  return json;
}
void read(const Json& json, Mean& mean) {
  const auto count = json.at("count").get<std::int64_t>();
  mean = Mean::of(count, number_of(json.at("mean")), number_of(json.at("sd")), json.value("left_out", std::int64_t{0}));
}

// Means alone: of curves the spread is not kept.
Json written_values(const std::vector<Mean>& means) {
  Json list = Json::array();
  for (const Mean& mean : means) list.push_back(number(mean.value()));
  return list;
}
void read_values(const Json& json, std::vector<Mean>& means) {
  for (const Json& value : json) means.push_back(value.is_null() ? Mean() : Mean::of(1, value.get<double>(), 0.0));
}

Json written(const std::vector<SinkKey>& keys) {
  Json list = Json::array();
  for (const SinkKey& key : keys) list.push_back({{"text", key.text}, {"token", key.token}, {"share", key.share}});
  return list;
}
void read(const Json& json, std::vector<SinkKey>& keys) {
  for (const Json& key : json) {
    keys.push_back(
        {key.at("text").get<std::int64_t>(), key.at("token").get<std::int64_t>(), key.at("share").get<double>()});
  }
}

Json written(const std::vector<LargeActivation>& activations) {
  Json list = Json::array();
  for (const LargeActivation& of : activations) {
    list.push_back({{"text", of.text},
                    {"token", of.token},
                    {"channel", of.channel},
                    {"value", of.value},
                    {"ratio", number(of.ratio)}});
  }
  return list;
}
void read(const Json& json, std::vector<LargeActivation>& activations) {
  for (const Json& of : json) {
    activations.push_back({of.at("text").get<std::int64_t>(), of.at("token").get<std::int64_t>(),
                           of.at("channel").get<std::int64_t>(), of.at("value").get<double>(),
                           number_of(of.at("ratio"))});
  }
}

struct NamedMean {
  const char* name;
  Mean HeadResult::*of;
};
constexpr NamedMean kHeadMeans[] = {
    {"entropy", &HeadResult::entropy},
    {"relative_entropy", &HeadResult::relative_entropy},
    {"first_key", &HeadResult::first_key},
    {"first_visible_key", &HeadResult::first_visible_key},
    {"maximum", &HeadResult::maximum},
    {"flat_share", &HeadResult::flat_share},
    {"sparsity", &HeadResult::sparsity},
    {"row_sum", &HeadResult::row_sum},
    {"logit_variance", &HeadResult::logit_variance},
    {"support", &HeadResult::support},
    {"leading", &HeadResult::leading},
    {"query_norm", &HeadResult::query_norm},
    {"key_norm", &HeadResult::key_norm},
    {"first_value_ratio", &HeadResult::first_value_ratio},
};

Json written(const HeadResult& head) {
  Json json = Json::object();
  for (const NamedMean& mean : kHeadMeans) json[mean.name] = written(head.*mean.of);
  json["largest_logit"] = number(head.largest_logit);
  json["beta"] = number(head.beta);
  json["relative_entropies"] = head.relative_entropies;
  json["entropy_by_position"] = written_values(head.entropy_by_position);
  json["received"] = written_values(head.received);
  json["sinks"] = written(head.sinks);
  return json;
}
void read(const Json& json, HeadResult& head) {
  for (const NamedMean& mean : kHeadMeans) read(json.at(mean.name), head.*mean.of);
  head.largest_logit = number_of(json.at("largest_logit"));
  head.beta = number_of(json.at("beta"));
  json.at("relative_entropies").get_to(head.relative_entropies);
  read_values(json.at("entropy_by_position"), head.entropy_by_position);
  read_values(json.at("received"), head.received);
  read(json.at("sinks"), head.sinks);
}

Json written(const LayerResult& layer) {
  Json heads = Json::array();
  for (const HeadResult& head : layer.heads) heads.push_back(written(head));
  return {{"hidden_norm", written(layer.hidden_norm)},
          {"kurtosis", written(layer.kurtosis)},
          {"median_activation", written(layer.median_activation)},
          {"massive", layer.massive},
          {"largest", written(layer.largest)},
          {"heads", std::move(heads)}};
}
void read(const Json& json, LayerResult& layer) {
  read(json.at("hidden_norm"), layer.hidden_norm);
  read(json.at("kurtosis"), layer.kurtosis);
  read(json.at("median_activation"), layer.median_activation);
  json.at("massive").get_to(layer.massive);
  read(json.at("largest"), layer.largest);
  for (const Json& head : json.at("heads")) read(head, layer.heads.emplace_back());
}

Json written(const TextResult& result, const AuditedText& text, bool with_tokens) {
  Json json{{"tokens", result.tokens}, {"predicted", result.predicted}, {"nll", number(result.nll)}};
  if (!with_tokens) return json;
  json["name"] = text.name;
  json["left_out"] = text.left_out;
  json["first"] = text.first;
  json["named"] = Json::array();
  for (const auto& [token, name] : text.tokens) json["named"].push_back({token, name});
  return json;
}
void read(const Json& json, TextResult& result, AuditedText& text) {
  json.at("tokens").get_to(result.tokens);
  json.at("predicted").get_to(result.predicted);
  result.nll = number_of(json.at("nll"));
  if (!json.contains("name")) return;
  json.at("name").get_to(text.name);
  json.at("left_out").get_to(text.left_out);
  json.at("first").get_to(text.first);
  for (const Json& named : json.at("named")) {
    text.tokens.emplace(named.at(0).get<std::int64_t>(), named.at(1).get<std::string>());
  }
}

Json written(const std::vector<Intervention>& interventions) {
  Json list = Json::array();
  for (const Intervention& of : interventions) {
    Json one{{"layer", of.layer < 0 ? Json(nullptr) : Json(of.layer)}};
    if (of.head >= 0) one["head"] = of.head;
    one["nll"] = number(of.nll);
    list.push_back(std::move(one));
  }
  return list;
}
void read(const Json& json, std::vector<Intervention>& interventions) {
  for (const Json& of : json) {
    Intervention& one = interventions.emplace_back();
    if (!of.at("layer").is_null()) of.at("layer").get_to(one.layer);
    if (of.contains("head")) of.at("head").get_to(one.head);
    one.nll = number_of(of.at("nll"));
  }
}

Json written(const InterventionCosts& costs) {
  return {{"nll", number(costs.nll)}, {"without_sinks", written(costs.sinks)}, {"without_heads", written(costs.heads)}};
}
void read(const Json& json, InterventionCosts& costs) {
  costs.nll = number_of(json.at("nll"));
  read(json.at("without_sinks"), costs.sinks);
  read(json.at("without_heads"), costs.heads);
}

Json written_numbers(const std::vector<double>& numbers) {
  Json list = Json::array();
  for (const double value : numbers) list.push_back(number(value));
  return list;
}
std::vector<double> numbers_of(const Json& json) {
  std::vector<double> numbers;
  for (const Json& value : json) numbers.push_back(number_of(value));
  return numbers;
}

Json written(const std::vector<Variation>& variations) {
  Json list = Json::array();
  for (const Variation& of : variations) {
    list.push_back({{"name", of.name},
                    {"nll", number(of.nll)},
                    {"relative_entropy", number(of.relative_entropy)},
                    {"first_visible_key", number(of.first_visible_key)},
                    {"largest_activation", number(of.largest_activation)},
                    {"layer_entropies", written_numbers(of.layer_entropies)},
                    {"layer_sinks", written_numbers(of.layer_sinks)}});
  }
  return list;
}
void read(const Json& json, std::vector<Variation>& variations) {
  for (const Json& of : json) {
    Variation& one = variations.emplace_back();
    of.at("name").get_to(one.name);
    one.nll = number_of(of.at("nll"));
    one.relative_entropy = number_of(of.at("relative_entropy"));
    one.first_visible_key = number_of(of.at("first_visible_key"));
    one.largest_activation = number_of(of.at("largest_activation"));
    one.layer_entropies = numbers_of(of.at("layer_entropies"));
    one.layer_sinks = numbers_of(of.at("layer_sinks"));
  }
}

Json written(const std::vector<std::vector<HeadScores>>& layers) {
  Json list = Json::array();
  for (const std::vector<HeadScores>& heads : layers) {
    Json& layer = list.emplace_back(Json::array());
    for (const HeadScores& head : heads) {
      layer.push_back({{"previous_token", number(head.previous_token)},
                       {"duplicate", number(head.duplicate)},
                       {"induction", number(head.induction)}});
    }
  }
  return list;
}
void read(const Json& json, std::vector<std::vector<HeadScores>>& layers) {
  for (const Json& heads : json) {
    std::vector<HeadScores>& layer = layers.emplace_back();
    for (const Json& head : heads) {
      layer.push_back(
          {number_of(head.at("previous_token")), number_of(head.at("duplicate")), number_of(head.at("induction"))});
    }
  }
}

Json summary(const AuditResult& result) {
  Json numbers = Json::object();
  for (const Scalar& scalar : summary_scalars()) numbers[scalar.name] = number(scalar.of(result));
  return numbers;
}

AuditRecord record_of(const Json& json) {
  AuditRecord record;
  json.at("model").get_to(record.model);
  json.at("architecture").get_to(record.architecture);
  json.at("causal").get_to(record.causal);
  json.at("vocabulary").get_to(record.vocabulary);
  json.at("width").get_to(record.width);
  json.at("context").get_to(record.context);
  json.at("windows").get_to(record.windows);
  json.at("precision").get_to(record.precision);
  if (!json.at("tokenizer").is_null()) json.at("tokenizer").get_to(record.tokenizer);
  json.at("interrupted").get_to(record.result.interrupted);
  json.at("given_texts").get_to(record.given_texts);
  read(json.at("nll"), record.result.nll);
  for (const Json& text : json.at("texts")) read(text, record.result.texts.emplace_back(), record.texts.emplace_back());
  for (const Json& layer : json.at("layers")) read(layer, record.result.layers.emplace_back());
  if (json.contains("costs")) read(json.at("costs"), record.costs.emplace());
  if (json.contains("scores")) read(json.at("scores"), record.scores);
  if (json.contains("query_key_norms")) {
    for (const Json& layer : json.at("query_key_norms")) record.query_key_norms.push_back(numbers_of(layer));
  }
  if (json.contains("first_tokens")) read(json.at("first_tokens"), record.first_tokens);
  if (json.contains("what_if")) read(json.at("what_if"), record.what_if);
  return record;
}

}  // namespace

std::string short_name(const AuditRecord& record) {
  const std::string_view name = record.model;
  const std::size_t last = name.find_last_not_of('/');
  const std::size_t slash = name.find_last_of('/', last);
  return last == name.npos ? record.model : std::string(name.substr(slash + 1, last - slash));
}

std::string token_in_words(const AuditRecord& record, std::int64_t text, std::int64_t token) {
  const std::string place =
      record.result.texts.size() > 1 ? fmt::format("token {} of text {}", token, text) : fmt::format("token {}", token);
  // An interrupted audit names texts that it did not finish and so does not list.
  if (text < 0 || text >= std::ssize(record.texts)) return place;
  const auto found = record.texts[text].tokens.find(token);
  return found == record.texts[text].tokens.end() ? place : fmt::format("\"{}\" ({})", found->second, place);
}

Json as_json(const AuditRecord& record) {
  Json layers = Json::array(), texts = Json::array();
  for (const LayerResult& layer : record.result.layers) layers.push_back(written(layer));
  for (std::size_t t = 0; t < record.result.texts.size(); ++t) {
    texts.push_back(written(record.result.texts[t], record.texts[t], !record.tokenizer.empty()));
  }
  Json json{{"version", kRecordVersion},
            {"model", record.model},
            {"architecture", record.architecture},
            {"causal", record.causal},
            {"vocabulary", record.vocabulary},
            {"width", record.width},
            {"context", record.context},
            {"windows", record.windows},
            {"precision", record.precision},
            {"tokenizer", record.tokenizer.empty() ? Json(nullptr) : Json(record.tokenizer)},
            {"interrupted", record.result.interrupted},
            {"given_texts", record.given_texts},
            {"summary", summary(record.result)},
            {"nll", written(record.result.nll)},
            {"texts", std::move(texts)},
            {"layers", std::move(layers)}};
  if (record.costs) json["costs"] = written(*record.costs);
  if (!record.scores.empty()) json["scores"] = written(record.scores);
  if (!record.query_key_norms.empty()) {
    json["query_key_norms"] = Json::array();
    for (const std::vector<double>& layer : record.query_key_norms) {
      json["query_key_norms"].push_back(written_numbers(layer));
    }
  }
  if (!record.first_tokens.empty()) json["first_tokens"] = written(record.first_tokens);
  if (!record.what_if.empty()) json["what_if"] = written(record.what_if);
  return json;
}

AuditRecord read_record(const std::filesystem::path& path) {
  const std::filesystem::path file = std::filesystem::is_directory(path) ? path / "audit.json" : path;
  const Json json = Json::parse(read_file(file), nullptr, false);
  const auto version = json.is_object() ? json.find("version") : json.end();
  if (!json.is_object() || version == json.end() || !json.contains("layers")) {
    throw Error("{}: expected the record of an audit: a JSON object with version and layers", file.string());
  }
  if (!version->is_number_integer() || *version != kRecordVersion) {
    throw Error("{}: its version is {}, this program reads version {}", file.string(),
                version->is_number() ? version->dump() : version->type_name(), kRecordVersion);
  }
  try {
    return record_of(json);
  } catch (const nlohmann::json::exception& problem) {
    const std::string words = problem.what();  // "[json.exception.type_error.302] type must be ..."
    throw Error("{}: this is no complete audit: {}", file.string(), words.substr(words.find("] ") + 2));
  }
}

}  // namespace polariscope::audit
