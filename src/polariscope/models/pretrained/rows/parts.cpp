#include "polariscope/models/pretrained/rows/parts.h"

#include "polariscope/base/error.h"
#include "polariscope/base/names.h"
#include "polariscope/models/pretrained/parameter_names.h"

#include <array>
#include <bit>
#include <cmath>
#include <utility>

namespace polariscope::models::rows {
namespace {

constexpr std::array<std::pair<std::string_view, Activation>, 13> kActivations = {
    {{"gelu", Activation::kGelu},
     {"gelu_python", Activation::kGelu},
     {"gelu_new", Activation::kGeluTanh},
     {"gelu_fast", Activation::kGeluTanh},
     {"gelu_accurate", Activation::kGeluTanh},
     {"gelu_pytorch_tanh", Activation::kGeluTanh},
     {"gelu_python_tanh", Activation::kGeluTanh},
     {"quick_gelu", Activation::kGeluSigmoid},
     {"silu", Activation::kSilu},
     {"swish", Activation::kSilu},
     {"relu", Activation::kRelu},
     {"relu2", Activation::kReluSquared},
     {"relu_squared", Activation::kReluSquared}}};

constexpr std::int64_t kMostHeads = 1 << 10, kMostExperts = 1 << 12;

void check_heads(const ConfigReader& config, const AttentionDescription& attention) {
  if (attention.heads > kMostHeads) {
    throw Error("{}: {} heads in a layer, at most {} are understood", config.where(), attention.heads, kMostHeads);
  }
  if (attention.heads % attention.key_heads != 0) {
    throw Error("{}: the {} heads are no multiple of the {} key heads", config.where(), attention.heads,
                attention.key_heads);
  }
}

}  // namespace

Activation activation(const ConfigReader& config, std::string_view key, std::string_view otherwise) {
  const std::string name = config.text(key, otherwise);
  for (const auto& [known, kind] : kActivations) {
    if (known == name) return kind;
  }
  std::vector<std::string_view> known;
  for (const auto& row : kActivations) known.push_back(row.first);
  throw Error("{}: {}", config.at(key), unknown_name("activation", name, known));
}

NormDescription layer_norm(double epsilon) { return {.kind = NormKind::kLayer, .epsilon = epsilon}; }

NormDescription rms_norm(double epsilon) { return {.kind = NormKind::kRms, .epsilon = epsilon}; }

std::int64_t head_width(const ConfigReader& config, std::int64_t width, std::int64_t heads) {
  if (width % heads != 0) {
    throw Error("{}: the width {} is no multiple of the {} heads", config.where(), width, heads);
  }
  return width / heads;
}

AttentionDescription plain_attention(const ConfigReader& config, std::int64_t width, std::int64_t heads) {
  const std::int64_t each = head_width(config, width, heads);
  const AttentionDescription attention{.heads = heads,
                                       .key_heads = heads,
                                       .query_width = each,
                                       .value_width = each,
                                       .scale = 1.0 / std::sqrt(static_cast<double>(each))};
  check_heads(config, attention);
  return attention;
}

std::optional<std::int64_t> size_or_null(const ConfigReader& config, std::string_view key, std::int64_t otherwise) {
  return config.written(key) ? config.maybe_size(key) : otherwise;
}

std::vector<LayerDescription> layers(const ConfigReader& config, const TensorsAtHand& tensors, std::int64_t count,
                                     const LayerDescription& layer) {
  check_heads(config, layer.attention);
  constexpr std::int64_t kMostNew = 10'000;
  if (tensors.to_be_made && count > kMostNew) {
    throw Error("{}: {} layers are described, a new model has at most {}", config.where(), count, kMostNew);
  }
  if (!tensors.to_be_made && std::cmp_greater(count, tensors.shapes.size())) {
    throw Error("{}: {} layers are described, but the checkpoint has no more than {} tensors", config.where(), count,
                tensors.shapes.size());
  }
  return std::vector<LayerDescription>(static_cast<std::size_t>(count), layer);
}

std::vector<bool> sliding_layers(const ConfigReader& config, std::int64_t count,
                                 const std::function<bool(std::int64_t)>& otherwise) {
  std::vector<bool> sliding;
  if (!config.has("layer_types")) {
    for (std::int64_t n = 0; n < count; ++n) sliding.push_back(otherwise(n));
    return sliding;
  }
  for (const std::string& type : config.texts("layer_types")) {
    if (type != "sliding_attention" && type != "full_attention") {
      throw Error("{}: \"{}\" is not understood, only \"full_attention\" and \"sliding_attention\"",
                  config.at("layer_types"), type);
    }
    sliding.push_back(type == "sliding_attention");
  }
  if (std::cmp_not_equal(sliding.size(), count)) {
    throw Error("{} has {} entries for {} layers", config.at("layer_types"), sliding.size(), count);
  }
  return sliding;
}

void use_experts(const ConfigReader& config, const TensorsAtHand& tensors, Plan& plan, std::int64_t n,
                 const Experts& experts) {
  if (experts.chosen > experts.count) {
    throw Error("{}: {} of {} experts are chosen for a token", config.where(), experts.chosen, experts.count);
  }
  if (experts.groups < 1 || experts.count % experts.groups != 0 || experts.chosen_groups > experts.groups ||
      (experts.groups > 1 && experts.count / experts.groups < 2)) {
    throw Error("{}: {} experts in {} groups, of which {} are chosen, is not understood", config.where(), experts.count,
                experts.groups, experts.chosen_groups);
  }
  if (experts.count > kMostExperts) {
    throw Error("{}: {} experts in a layer, at most {} are understood", config.where(), experts.count, kMostExperts);
  }
  // Each expert of each layer has numbers of its own.
  std::int64_t numbers = 0;
  for (const auto& [name, shape] : tensors.shapes) numbers += shape.empty() ? 1 : shape.front();
  if (!tensors.to_be_made && experts.count * static_cast<std::int64_t>(plan.description.layers.size()) > numbers) {
    throw Error("{}: {} experts in {} layers are described, but the checkpoint's tensors have no more than {} rows",
                config.where(), experts.count, plan.description.layers.size(), numbers);
  }
  plan.description.layers[static_cast<std::size_t>(n)].feed_forward.experts = experts;
  for (const std::string_view name : {parameter::kGate, parameter::kUp, parameter::kDown}) {
    plan.sources.erase(parameter::layer(n, name));
    plan.sources.erase(parameter::bias(parameter::layer(n, name)));
  }
}

void put_experts(const ConfigReader& config, const TensorsAtHand& tensors, Plan& plan, std::int64_t n,
                 const Experts& experts, const ExpertNames& names) {
  use_experts(config, tensors, plan, n, experts);
  const SourcePlaces places = layer_places(plan, n);
  places.weight(parameter::kRouter, names.router);
  for (std::int64_t e = 0; e < experts.count; ++e) {
    const auto put = [&places, e](std::string_view parameter, std::string_view tensor) {
      const std::size_t hole = tensor.find("{}");
      places.weight(parameter::expert(e, parameter),
                    std::string(tensor.substr(0, hole)) + std::to_string(e) + std::string(tensor.substr(hole + 2)));
    };
    put(parameter::kGate, names.gate);
    put(parameter::kUp, names.up);
    put(parameter::kDown, names.down);
  }
}

std::vector<double> alibi_slopes(std::int64_t heads) {
  const auto below = static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(heads)));
  std::vector<double> slopes;
  const auto slope = [](std::int64_t number, std::int64_t of) {
    return std::exp2(-8.0 * static_cast<double>(number) / static_cast<double>(of));
  };
  for (std::int64_t h = 1; h <= below; ++h) slopes.push_back(slope(h, below));
  for (std::int64_t h = 1; std::cmp_less(slopes.size(), heads); h += 2) slopes.push_back(slope(h, 2 * below));
  return slopes;
}

SourcePlaces layer_places(Plan& plan, std::int64_t n, std::string_view beginning) {
  return {plan.sources, parameter::layer(n, ""), std::string(beginning) + std::to_string(n) + "."};
}

}  // namespace polariscope::models::rows
