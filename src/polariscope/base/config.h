// Settings as TOML: read with unknown keys refused by name, and written.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace polariscope {

// A setting as TOML knows it: a number without point or exponent is whole.
using ConfigValue = std::variant<bool, std::int64_t, double, std::string>;

// Of which kind it is, for a sentence: "a boolean", "a number", "a string".
std::string_view kind_of(const ConfigValue& value);

// As TOML writes it: true, 4, 0.001, "softmax". It reads back as the same value: a double that is whole is 2.0. Throws
// Error for text that is not UTF-8, which TOML cannot hold.
std::string toml_text(const ConfigValue& value);

// As one types it: true, 4, 0.001, softmax; a double that is whole is 2.
std::string plain_text(const ConfigValue& value);

// Top-level keys of a TOML file. Only strings, numbers and booleans are settings; anything else is refused by name.
class Config {
 public:
  struct Entry {
    ConfigValue value;
    int line = 0;
  };

  static Config read(const std::filesystem::path& path);
  // `where` names the source in errors. Both throw Error for what is not TOML or not a setting.
  static Config parse(std::string_view toml, std::string_view where);

  // Throws Error naming the first key that is not in `known`, with the nearest known one.
  void refuse_unknown(const std::vector<std::string_view>& known) const;

  const std::map<std::string, Entry>& entries() const { return entries_; }
  const std::string& where() const { return where_; }

 private:
  std::string where_;
  std::map<std::string, Entry> entries_;
};

}  // namespace polariscope
