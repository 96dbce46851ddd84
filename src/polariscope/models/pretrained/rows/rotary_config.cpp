// Rotary positions in config.json: rope_theta beside rope_scaling (4.x), or all in rope_parameters (5.x), maybe by
// type of layer. A value inside outweighs one beside, and that one the class default.
#include "polariscope/base/error.h"
#include "polariscope/base/names.h"
#include "polariscope/models/pretrained/rows/parts.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace polariscope::models::rows {
namespace {

constexpr std::array<std::pair<std::string_view, RotaryScaling>, 7> kScalings = {
    {{"default", RotaryScaling::kNone},
     {"linear", RotaryScaling::kLinear},
     {"dynamic", RotaryScaling::kDynamic},
     {"llama3", RotaryScaling::kLlama3},
     {"yarn", RotaryScaling::kYarn},
     {"longrope", RotaryScaling::kLongRope},
     {"su", RotaryScaling::kLongRope}}};

// Keys of scalings that the present one does not use.
constexpr std::string_view kUnused[] = {"factor",
                                        "low_freq_factor",
                                        "high_freq_factor",
                                        "original_max_position_embeddings",
                                        "beta_fast",
                                        "beta_slow",
                                        "truncate",
                                        "attention_factor",
                                        "mscale",
                                        "mscale_all_dim",
                                        "short_factor",
                                        "long_factor",
                                        "finetuned",
                                        "type",
                                        "rope_type",
                                        "rope_theta",
                                        "partial_rotary_factor"};

RotaryScaling scaling_of(const ConfigReader& inside) {
  const std::string_view key = inside.has("rope_type") ? "rope_type" : "type";
  const std::string name = inside.text(key, "default");
  for (const auto& [known, scaling] : kScalings) {
    if (known == name) return scaling;
  }
  std::vector<std::string_view> known;
  for (const auto& row : kScalings) known.push_back(row.first);
  throw Error("{}: {}", inside.at(key), unknown_name("rotary scaling", name, known));
}

std::vector<double> divisors(const ConfigReader& inside, std::string_view key, std::int64_t width) {
  std::vector<double> found = inside.numbers(key);
  if (std::cmp_not_equal(found.size(), width / 2)) {
    throw Error("{} has {} numbers, but {} pairs of a head are rotated", inside.at(key), found.size(), width / 2);
  }
  if (std::any_of(found.begin(), found.end(), [](double by) { return !(by > 0.0); })) {
    throw Error("{}: expected numbers above 0", inside.at(key));
  }
  return found;
}

double above_zero(const ConfigReader& inside, std::string_view key, double value) {
  if (!(value > 0.0) || !std::isfinite(value)) throw Error("{} is {}: expected above 0", inside.at(key), value);
  return value;
}

void read_scaling(const ConfigReader& config, const ConfigReader& inside, std::int64_t context,
                  const RotaryDefaults& defaults, Rotary& rotary) {
  const auto number = [&inside](std::string_view key, double otherwise) {
    return above_zero(inside, key, inside.number(key, otherwise));
  };
  const bool needs_factor = rotary.scaling == RotaryScaling::kLinear || rotary.scaling == RotaryScaling::kDynamic ||
                            rotary.scaling == RotaryScaling::kLlama3;
  // The length it was first trained on: beside outweighs inside, and so does a class default (Phi-3's files).
  const std::int64_t within = inside.size("original_max_position_embeddings", context);
  rotary.original_length =
      config.size("original_max_position_embeddings", defaults.original_length > 0 ? defaults.original_length : within);
  const double longer = static_cast<double>(context) / static_cast<double>(rotary.original_length);
  rotary.factor = above_zero(inside, "factor", needs_factor ? inside.number("factor") : number("factor", longer));
  switch (rotary.scaling) {
    case RotaryScaling::kDynamic: rotary.maximum_length = context; break;
    case RotaryScaling::kLlama3:
      rotary.low_frequency_factor = above_zero(inside, "low_freq_factor", inside.number("low_freq_factor"));
      rotary.high_frequency_factor = above_zero(inside, "high_freq_factor", inside.number("high_freq_factor"));
      break;
    case RotaryScaling::kYarn:
      rotary.beta_fast = inside.number("beta_fast", 0.0) == 0.0 ? 32.0 : inside.number("beta_fast");
      rotary.beta_slow = inside.number("beta_slow", 0.0) == 0.0 ? 1.0 : inside.number("beta_slow");
      rotary.truncate = inside.flag("truncate", true);
      rotary.mscale = inside.number("mscale", 0.0);
      rotary.mscale_all_dim = inside.number("mscale_all_dim", 0.0);
      break;
    case RotaryScaling::kLongRope:
      rotary.short_factor = divisors(inside, "short_factor", rotary.width);
      rotary.long_factor = divisors(inside, "long_factor", rotary.width);
      break;
    default: break;
  }
  // Only these two multiply cos and sin by something.
  if (rotary.scaling == RotaryScaling::kYarn || rotary.scaling == RotaryScaling::kLongRope) {
    rotary.attention_factor = inside.maybe_number("attention_factor");
  }
  if (rotary.scaling == RotaryScaling::kDynamic || rotary.scaling == RotaryScaling::kLinear) {
    rotary.original_length = 0;
  }
}

// `inside`: the object that holds the parameters, `config` itself where there is none.
Rotary read(const ConfigReader& config, const ConfigReader* inside, std::int64_t width, std::int64_t context,
            const RotaryDefaults& defaults) {
  Rotary found{.theta = config.number(defaults.theta_key, defaults.theta), .neighbours = defaults.neighbours};
  double partial = config.number(defaults.partial_key, defaults.partial);
  if (inside != nullptr) {
    found.theta = inside->number("rope_theta", found.theta);
    partial = inside->number("partial_rotary_factor", partial);
    found.scaling = scaling_of(*inside);
    if (found.scaling == RotaryScaling::kYarn && defaults.yarn_is_longrope) found.scaling = RotaryScaling::kLongRope;
    for (const std::string_view key : kUnused) inside->has(key);
  }
  above_zero(config, defaults.theta_key, found.theta);
  // As transformers cuts it: towards zero.
  found.width = static_cast<std::int64_t>(static_cast<double>(width) * partial);
  if (!(partial > 0.0) || found.width < 2 || found.width > width || found.width % 2 != 0) {
    throw Error("{}: {} of a head's width {} is no even number from 2 to it", config.at(defaults.partial_key), partial,
                width);
  }
  if (found.scaling != RotaryScaling::kNone) read_scaling(config, *inside, context, defaults, found);
  if (found.scaling == RotaryScaling::kDynamic && found.width == 2) {
    throw Error("{}: dynamic scaling needs more than one rotated pair", config.at(defaults.partial_key));
  }
  return found;
}

// The object with the parameters' keys: rope_scaling outweighs rope_parameters.
std::optional<ConfigReader> parameters_of(const ConfigReader& config) {
  const bool old = config.has("rope_scaling"), present = config.has("rope_parameters");
  if (old) return config.object("rope_scaling");
  if (present) return config.object("rope_parameters");
  return std::nullopt;
}

}  // namespace

Rotary rotary(const ConfigReader& config, std::int64_t width, std::int64_t context, const RotaryDefaults& defaults) {
  const std::optional<ConfigReader> inside = parameters_of(config);
  config.has("original_max_position_embeddings");
  return read(config, inside ? &*inside : nullptr, width, context, defaults);
}

std::optional<Rotary> rotary_of_layer_type(const ConfigReader& config, std::string_view layer_type, std::int64_t width,
                                           std::int64_t context, const RotaryDefaults& defaults) {
  if (!config.has("rope_parameters")) return std::nullopt;
  const ConfigReader nested = config.object("rope_parameters");
  if (!nested.has(layer_type)) return std::nullopt;
  const ConfigReader inside = nested.object(layer_type);
  return read(config, &inside, width, context, defaults);
}

}  // namespace polariscope::models::rows
