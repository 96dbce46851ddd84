// Settings from a TOML file, with unknown keys refused by name.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope {

// Top-level keys of a TOML file as text, each list as its items. Only strings, numbers, booleans and
// flat lists of them are settings; anything else is refused by name.
class Config {
 public:
  static Config read(const std::filesystem::path& path);
  // `where` names the source in errors. Both throw Error for what is not TOML or not a setting.
  static Config parse(std::string_view toml, std::string_view where);

  // Throws Error naming the first key that is not in `known`, with the nearest known one.
  void refuse_unknown(const std::vector<std::string_view>& known) const;

  const std::map<std::string, std::vector<std::string>>& values() const { return values_; }
  const std::string& where() const { return where_; }

 private:
  std::string where_;
  std::map<std::string, std::vector<std::string>> values_;
};

}  // namespace polariscope
