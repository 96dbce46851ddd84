#include "polariscope/models/pretrained/own_attention.h"

#include "polariscope/base/error.h"
#include "polariscope/models/pretrained/parameter_names.h"
#include "polariscope/reweighting/attention_form.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <cstdint>

namespace polariscope::models {
namespace {

// With the epsilon of the norm before attention, where there is one.
void norm_queries(bool centred, std::int64_t layer, LayerDescription& of, Plan& plan) {
  AttentionDescription& attention = of.attention;
  const double epsilon = of.attention_norms.before.value_or(NormDescription{}).epsilon;
  attention.query_key_norm = QueryKeyNorm::kPerHead;
  attention.query_key_norm_kind = {centred ? NormKind::kLayer : NormKind::kRms, epsilon};
  const SourcePlaces places(plan.sources, parameter::layer(layer, ""), "polariscope." + std::to_string(layer) + ".");
  places.linear(parameter::kQueryNorm, "query_norm", centred);
  places.linear(parameter::kKeyNorm, "key_norm", centred);
}

void choose_form(const reweighting::AttentionForm& form, std::int64_t layer, AttentionDescription& attention,
                 Plan& plan) {
  attention.form = form.name;
  if (!form.scaled) attention.scale = 1.0;
  const std::string sink = parameter::layer(layer, parameter::kSink);
  attention.sink = form.learned_sink;
  attention.constant_sink.reset();
  plan.sources.erase(sink);
  if (form.learned_sink) plan.sources[sink] = {.tensor = "polariscope." + std::to_string(layer) + ".sink"};
}

void gate_output(std::int64_t layer, AttentionDescription& attention, Plan& plan) {
  attention.output_gate = true;
  const SourcePlaces places(plan.sources, parameter::layer(layer, ""), "polariscope." + std::to_string(layer) + ".");
  places.linear(parameter::kOutputGate, "output_gate", false);
}

}  // namespace

void apply(const OwnAttention& own, Plan& plan, const std::string& where) {
  const reweighting::AttentionForm& form = reweighting::find_attention_form(own.form);
  if (form.maps_queries) {
    throw Error("{}: attention \"{}\" takes queries and keys through an MLP, which models of text have none for", where,
                form.name);
  }
  if (own.soft_cap > 0.0 && form.name != "softmax") {
    throw Error("{}: a soft cap goes with attention \"softmax\", found \"{}\"", where, form.name);
  }
  for (std::size_t n = 0; n < plan.description.layers.size(); ++n) {
    AttentionDescription& attention = plan.description.layers[n].attention;
    const auto layer = static_cast<std::int64_t>(n);
    if (own.qk_norm != "no") {
      if (attention.query_key_norm != QueryKeyNorm::kNone || attention.latent) {
        throw Error("{}: qk-norm \"{}\" on a model that norms its queries and keys in a way of its own", where,
                    own.qk_norm);
      }
      norm_queries(own.qk_norm == "layer", layer, plan.description.layers[n], plan);
    }
    if (own.soft_cap > 0.0) attention.soft_cap = own.soft_cap;
    if (form.name != "softmax") choose_form(form, layer, attention, plan);
    if (own.output_gate) gate_output(layer, attention, plan);
  }
}

OwnAttention own_attention(const ConfigReader& config) {
  OwnAttention own;
  if (!config.has(kOwnAttentionKey)) return own;
  const ConfigReader given = config.object(kOwnAttentionKey);
  own.form = given.text("attention", own.form);
  own.qk_norm = given.text("qk_norm", own.qk_norm);
  own.soft_cap = given.number("soft_cap", own.soft_cap);
  own.output_gate = given.flag("output_gate", own.output_gate);
  if (own.qk_norm != "no" && own.qk_norm != "layer" && own.qk_norm != "rms") {
    throw Error("{} is \"{}\": expected no, layer or rms", given.at("qk_norm"), own.qk_norm);
  }
  if (!(own.soft_cap >= 0.0) || !std::isfinite(own.soft_cap)) {
    throw Error("{} is {}: expected a number of at least 0", given.at("soft_cap"), own.soft_cap);
  }
  return own;
}

nlohmann::ordered_json to_json(const OwnAttention& own) {
  return {
      {"attention", own.form}, {"qk_norm", own.qk_norm}, {"soft_cap", own.soft_cap}, {"output_gate", own.output_gate}};
}

}  // namespace polariscope::models
