// The shapes of the Lipschitz paper's language models and of small ones like them.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <span>
#include <string_view>

namespace polariscope::models::language {

struct Preset {
  std::string_view name;
  std::string_view architecture;  // a row of the table of pretrained architectures
  std::int64_t width, layers, heads, key_heads, units, context, vocabulary;
  bool tied;
};

std::span<const Preset> presets();

// Throws Error with the nearest known name.
const Preset& find_preset(std::string_view name);

// As a published model's config.json says it. A vocabulary above 0 takes the preset's place.
nlohmann::ordered_json config_of(const Preset& preset, std::int64_t vocabulary, std::int64_t context);

}  // namespace polariscope::models::language
