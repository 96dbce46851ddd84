#include "polariscope/models/language/blueprint.h"

#include "polariscope/base/error.h"
#include "polariscope/models/pretrained/architecture_row.h"

namespace polariscope::models::language {
namespace {

void require_decoder(const Description& description, const std::string& where) {
  if (description.causal && description.has_head) return;
  throw Error("{}: \"{}\" is no model that predicts next tokens: a decoder with a head is needed", where,
              description.architecture);
}

// The config of a model whose attention is its own, which no other reader takes for the plain one.
nlohmann::ordered_json changed(nlohmann::ordered_json config, const OwnAttention& attention, const std::string& where) {
  if (attention == OwnAttention{}) return config;
  if (config.contains(kOwnAttentionKey)) {
    throw Error(
        "{} has an attention of its own already, \"{}\": leave attention, qk-norm, soft cap and output gate as they "
        "are",
        where, config[kOwnAttentionKey].value("attention", ""));
  }
  const auto name = config.at("model_type").get<std::string>();
  config.erase("architectures");
  config["model_type"] = std::string(kOwnModelPrefix) + name;
  config[kOwnAttentionKey] = to_json(attention);
  return config;
}

// Biases are there where their source is named.
Blueprint with_shapes(Blueprint blueprint) {
  for (const auto& [name, shape] : parameter_shapes(blueprint.description)) {
    if (shape.needed || blueprint.sources.contains(name)) blueprint.shapes[name] = shape.shape;
  }
  return blueprint;
}

}  // namespace

Blueprint blueprint_of(const nlohmann::ordered_json& given, const std::string& where, const OwnAttention& attention) {
  const auto found = given.is_object() ? given.find("model_type") : given.end();
  if (!given.is_object() || found == given.end() || !found->is_string()) {
    throw Error("{}: \"model_type\" must name the architecture", where);
  }
  const nlohmann::ordered_json config = changed(given, attention, where);
  const PretrainedRow& row = find_pretrained_row(config["model_type"].get_ref<const std::string&>());
  const TensorsAtHand none{
      .shapes = {}, .numbers = [](std::string_view) { return std::vector<double>(); }, .to_be_made = true};
  Plan plan = read_plan(row, nlohmann::json::parse(config.dump()), where, none);
  require_decoder(plan.description, where);
  return with_shapes({config, std::move(plan.description), {}, std::move(plan.sources)});
}

Blueprint blueprint_of(const PretrainedModel& model, const OwnAttention& attention) {
  const std::string where = model.checkpoint().path().string();
  require_decoder(model.description(), where);
  const bool unchanged = attention == OwnAttention{};
  if (!unchanged && model.checkpoint().format() == checkpoints::Format::kGguf) {
    throw Error("{}: another attention is for models in safetensors", where);
  }
  Plan plan{model.description(), model.sources(), {}};
  apply(attention, plan, where);
  nlohmann::ordered_json config;
  if (model.checkpoint().format() == checkpoints::Format::kSafetensors) {
    config = nlohmann::ordered_json::parse(model.checkpoint().config().dump());
    config["tie_word_embeddings"] = plan.description.tied_head;  // the file decides where the config is silent or wrong
  }
  return with_shapes({changed(config, attention, where), std::move(plan.description), {}, std::move(plan.sources)});
}

}  // namespace polariscope::models::language
