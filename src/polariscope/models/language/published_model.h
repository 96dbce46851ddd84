// A language model as a folder that other programs load: config.json and model.safetensors under its class's names.
#pragma once

#include <nlohmann/json.hpp>

#include <filesystem>
#include <functional>
#include <span>
#include <string_view>

namespace polariscope::models::language {

// The same model by the config of a published class, where there is one: a Llama whose queries and keys have rms norms
// is a Qwen3. Others are returned as they are.
nlohmann::ordered_json as_published(nlohmann::ordered_json config);

// numbers: a parameter's, row-major, of the model that config describes. Throws Error where the files cannot be
// written.
void write_published(const nlohmann::ordered_json& config,
                     const std::function<std::span<const float>(std::string_view parameter)>& numbers,
                     const std::filesystem::path& folder);

}  // namespace polariscope::models::language
