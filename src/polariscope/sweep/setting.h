// What a run can be told: the keys of a grid, and of the config.toml that the engine writes for each run.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace polariscope::sweep {

enum class ValueKind { kText, kWhole, kNumber, kBoolean };

struct Setting {
  std::string_view name;
  ValueKind kind;
  std::vector<std::string_view> choices = {};  // of kText: the known ones; empty: any text
};

// Those of `polariscope train`. A kWhole is at least 0.
std::span<const Setting> train_settings();

using Value = std::variant<bool, std::int64_t, double, std::string>;

// As TOML writes it: true, 4, 0.001, "softmax". Equal values have equal texts.
std::string toml_text(const Value& value);

}  // namespace polariscope::sweep
