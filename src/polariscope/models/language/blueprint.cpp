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

}  // namespace

Blueprint blueprint_of(const nlohmann::ordered_json& config, const std::string& where) {
  const auto found = config.is_object() ? config.find("model_type") : config.end();
  if (!config.is_object() || found == config.end() || !found->is_string()) {
    throw Error("{}: \"model_type\" must name the architecture", where);
  }
  const PretrainedRow& row = find_pretrained_row(found->get_ref<const std::string&>());
  const TensorsAtHand none{
      .shapes = {}, .numbers = [](std::string_view) { return std::vector<double>(); }, .to_be_made = true};
  const nlohmann::json sorted = nlohmann::json::parse(config.dump());
  Plan plan = read_plan(row, sorted, where, none);
  require_decoder(plan.description, where);
  Blueprint blueprint{config, std::move(plan.description), {}, std::move(plan.sources)};
  for (const auto& [name, shape] : parameter_shapes(blueprint.description)) {
    if (shape.needed || blueprint.sources.contains(name)) blueprint.shapes[name] = shape.shape;
  }
  return blueprint;
}

Blueprint blueprint_of(const PretrainedModel& model) {
  const std::string where = model.checkpoint().path().string();
  require_decoder(model.description(), where);
  Blueprint blueprint{
      nlohmann::ordered_json::parse(model.checkpoint().config().dump()), model.description(), {}, model.sources()};
  for (const auto& [name, shape] : parameter_shapes(blueprint.description)) {
    if (model.has(name)) blueprint.shapes[name] = model.shape(name);
  }
  return blueprint;
}

}  // namespace polariscope::models::language
