// The settings of a run: a value for each option of the table.
#pragma once

#include "polariscope/runs/options.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace polariscope::runs {

struct NamedValue {
  std::string name;  // as in the table
  ConfigValue value;
};
using NamedValues = std::vector<NamedValue>;

// Why the option's value has no place among `given`, as a sentence goes on after its name: " has no meaning for
// token-groups, only for induction"; "" where it has one. An option without meaning may have the value that it has
// there anyway.
std::string objection(std::span<const Option> table, const Option& option, const ConfigValue& value,
                      const NamedValues& given);

// In the order of the table: what was given, and the defaults of what was not but means something to such a run; of an
// option whose condition does not hold, the value that it has then.
NamedValues with_defaults(std::span<const Option> table, const NamedValues& given);

class Settings {
 public:
  // with_defaults(options(), given). The values must be checked() ones. Throws Error, beginning with shown(name), for
  // one that objection() is about.
  explicit Settings(const NamedValues& given, std::string (*shown)(const Option&) = key_of);

  // The option's value in `to`, which is left as it is where the option means nothing to the task. `to` must be of the
  // option's kind.
  template <class T>
  void read(std::string_view name, T& to) const {
    const ConfigValue* value = find(name);
    if (value == nullptr) return;
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
      to = static_cast<T>(std::get<std::int64_t>(*value));
    } else {
      to = std::get<T>(*value);
    }
  }
  template <class T>
  T get(std::string_view name) const {
    T value{};
    read(name, value);
    return value;
  }

  // The lines of config.toml: every option that means something to the run and says what it is. Equal runs have equal
  // texts.
  std::string toml() const;

 private:
  const ConfigValue* find(std::string_view name) const;

  NamedValues values_;
};

}  // namespace polariscope::runs
