#include "polariscope/sweep/internal/grid_file.h"

#include "polariscope/base/error.h"
#include "polariscope/base/names.h"

#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>
#include <utility>

namespace polariscope::sweep {
namespace {

constexpr std::size_t kMostValues = 99'999;  // of one axis: as many as a grid has runs
constexpr std::string_view kSkip = "skip";

// What a setting can be; nothing for a list, a table, a date.
std::optional<ConfigValue> single_value(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* whole = node.as_integer()) return whole->get();
  if (const auto* number = node.as_floating_point()) return number->get();
  if (const auto* truth = node.as_boolean()) return truth->get();
  return std::nullopt;
}

std::string_view found(const toml::node& node) {
  if (const auto value = single_value(node)) return kind_of(*value);
  if (node.is_array()) return "a list";
  if (node.is_table()) return "a table";
  return "a date or time";
}

class Reader {
 public:
  Reader(std::string_view where, std::span<const runs::Option> known) : where_(where), known_(known) {}

  GridFile read(const toml::table& table) const {
    GridFile file;
    for (const auto& [key, node] : in_order_of_the_file(table)) {
      if (key == kSkip) {
        file.skips = skips(*node, file.axes);
      } else {
        file.axes.push_back(axis(key, *node, {kSkip}));
      }
    }
    return file;
  }

 private:
  using Entry = std::pair<std::string, const toml::node*>;

  // Tables come sorted by key; [[skip]] goes last, since it speaks of the rest.
  static std::vector<Entry> in_order_of_the_file(const toml::table& table) {
    std::vector<Entry> entries;
    for (const auto& [key, node] : table) entries.emplace_back(key.str(), &node);
    std::ranges::stable_sort(entries, {}, [](const Entry& entry) {
      const toml::source_position at = entry.second->source().begin;
      return std::tuple(entry.first == kSkip, at.line, at.column);
    });
    return entries;
  }

  std::string place(const toml::node& node) const {
    return fmt::format("{}, line {}", where_, node.source().begin.line);
  }

  template <class... Args>
  [[noreturn]] void refuse(const toml::node& node, fmt::format_string<Args...> sentence, Args&&... args) const {
    throw Error("{}: {}", place(node), fmt::format(sentence, std::forward<Args>(args)...));
  }

  // `also`: names that are no setting but have a meaning here.
  GridAxis axis(const std::string& key, const toml::node& node, std::vector<std::string_view> also) const {
    const runs::Option* setting = runs::find_option(known_, key);
    if (setting == nullptr) {
      for (const runs::Option& option : known_) also.push_back(option.name);
      refuse(node, "{}", unknown_name("setting", key, also));
    }
    GridAxis axis{.key = key, .values = {}, .line = static_cast<int>(node.source().begin.line)};
    if (const toml::array* list = node.as_array()) {
      if (list->empty()) refuse(node, "{} is an empty list: give it a value", key);
      for (const toml::node& item : *list) add(axis, value(*setting, item), item);
    } else if (const toml::table* range = node.as_table()) {
      axis.values = values_of_range(*setting, *range);
    } else {
      axis.values.push_back(value(*setting, node));
    }
    return axis;
  }

  void add(GridAxis& axis, ConfigValue value, const toml::node& node) const {
    if (std::ranges::find(axis.values, value) != axis.values.end()) {
      refuse(node, "{} lists {} twice", axis.key, toml_text(value));
    }
    axis.values.push_back(std::move(value));
  }

  ConfigValue value(const runs::Option& setting, const toml::node& node) const {
    const auto value = single_value(node);
    if (!value) refuse(node, "{} holds {}, expected {}", setting.name, found(node), runs::expected(setting));
    return checked(setting, *value, node);
  }

  ConfigValue checked(const runs::Option& setting, const ConfigValue& value, const toml::node& node) const {
    return runs::checked(setting, value, fmt::format("{}: {}", place(node), setting.name));
  }

  // { from, to, step } or { from, to, factor }, both ends included; the step is 1 unless given.
  std::vector<ConfigValue> values_of_range(const runs::Option& setting, const toml::table& range) const {
    const bool counts = setting.kind == runs::OptionKind::kWhole || setting.kind == runs::OptionKind::kNumber;
    if (!counts) refuse(range, "{} has a range, expected {}", setting.name, runs::expected(setting));
    constexpr double kAbsent = std::numeric_limits<double>::quiet_NaN();
    double from = kAbsent, to = kAbsent, step = kAbsent, factor = kAbsent;
    const std::vector<std::pair<std::string_view, double*>> parts{
        {"from", &from}, {"to", &to}, {"step", &step}, {"factor", &factor}};
    for (const auto& [key, node] : range) {
      const auto part = std::ranges::find(parts, key.str(), [](const auto& p) { return p.first; });
      if (part == parts.end()) {
        const std::vector<std::string_view> names{"from", "to", "step", "factor"};
        refuse(node, "{}: {}", setting.name, unknown_name("part of a range", key.str(), names));
      }
      if (!node.is_number()) refuse(node, "{}: {} holds {}, expected a number", setting.name, key.str(), found(node));
      *part->second = *node.value<double>();
      if (!std::isfinite(*part->second)) refuse(node, "{}: {} must be finite", setting.name, key.str());
    }
    if (std::isnan(from) || std::isnan(to)) refuse(range, "{}: a range needs from and to", setting.name);
    if (!std::isnan(step) && !std::isnan(factor)) refuse(range, "{}: a range has a step or a factor", setting.name);
    if (std::isnan(step) && std::isnan(factor)) step = 1.0;
    const double count = std::isnan(factor) ? (to - from) / step : std::log(to / from) / std::log(factor);
    constexpr double kSlack = 1e-9;  // 0.1 + 0.1 + 0.1 is not quite 0.3
    if (!(count >= -kSlack)) refuse(range, "{}: the range from {} does not reach {}", setting.name, from, to);
    if (count >= kMostValues) refuse(range, "{}: the range has more than {} values", setting.name, kMostValues);
    std::vector<ConfigValue> values;
    for (int i = 0; i <= static_cast<int>(count + kSlack); ++i) {
      const double exact = std::isnan(factor) ? from + i * step : from * std::pow(factor, i);
      const double rounded =
          std::strtod(fmt::format("{:.12g}", exact).c_str(), nullptr);  // 0.3, not 0.30000000000000004
      values.push_back(checked(setting, rounded, range));
    }
    return values;
  }

  std::vector<Skip> skips(const toml::node& node, const std::vector<GridAxis>& axes) const {
    const toml::array* list = node.as_array();
    if (list == nullptr || !list->is_array_of_tables()) refuse(node, "skip is {}, expected [[skip]]", found(node));
    std::vector<Skip> skips;
    for (const toml::node& item : *list) {
      Skip skip;
      for (const auto& [key, entry] : in_order_of_the_file(*item.as_table())) {
        skip.push_back(axis(key, *entry, {}));
        require_on_axis(skip.back(), axes, *entry);
      }
      if (skip.empty()) refuse(item, "[[skip]] names no setting: it would leave out every run");
      skips.push_back(std::move(skip));
    }
    return skips;
  }

  void require_on_axis(const GridAxis& skipped, const std::vector<GridAxis>& axes, const toml::node& node) const {
    const auto axis = std::ranges::find(axes, skipped.key, &GridAxis::key);
    if (axis == axes.end()) refuse(node, "skip names {}, which the grid does not set", skipped.key);
    for (const ConfigValue& value : skipped.values) {
      if (std::ranges::find(axis->values, value) == axis->values.end()) {
        refuse(node, "skip names {} = {}, which no run of the grid has", skipped.key, toml_text(value));
      }
    }
  }

  std::string_view where_;
  std::span<const runs::Option> known_;
};

}  // namespace

GridFile parse_grid(std::string_view toml, std::string_view where, std::span<const runs::Option> known) {
  try {
    return Reader(where, known).read(toml::parse(toml, where));
  } catch (const toml::parse_error& error) {
    throw Error("{}, line {}, column {}: not TOML ({}): correct that line", where, error.source().begin.line,
                error.source().begin.column, error.description());
  }
}

}  // namespace polariscope::sweep
