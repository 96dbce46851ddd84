#include "polariscope/checkpoints/internal/json_file.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"

#include <nlohmann/json.hpp>

namespace polariscope::checkpoints {
namespace {

using Json = nlohmann::json;

// Configurations nest about four deep. Who prints, copies or compares a JSON value recurses, so a bound keeps the
// stack.
constexpr int kDeepest = 64;

std::string with_special_numbers_spelt_out(std::string_view text) {
  std::string out;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      out += c;
      if (c == '\\' && i + 1 < text.size()) out += text[++i];
      in_string = c != '"';
      continue;
    }
    in_string = c == '"';
    std::string_view number;
    for (const std::string_view special : {"-Infinity", "Infinity", "NaN"}) {
      if (text.substr(i, special.size()) == special) number = special;
    }
    if (number.empty()) {
      out += c;
    } else {
      out += fmt::format(R"({{"__float__":"{}"}})", number);
      i += number.size() - 1;
    }
  }
  return out;
}

}  // namespace

Json parse_json(std::string_view text, const std::string& where) {
  const auto bounded = [&](int depth, Json::parse_event_t, const Json&) {
    if (depth > kDeepest) throw Error("{}: is nested deeper than {}: give a model's own file", where, kDeepest);
    return true;
  };
  try {
    Json parsed = Json::parse(with_special_numbers_spelt_out(text), bounded);
    if (parsed.is_object()) return parsed;
  } catch (const Json::parse_error& error) {
    throw Error("{}: is not JSON from byte {} on: give a whole file", where, error.byte);
  } catch (const Json::exception&) {
    throw Error("{}: holds a number that no computer can: correct it", where);
  }
  throw Error("{}: is JSON, but no object: give a model's own file", where);
}

Json read_json(const std::filesystem::path& path) { return parse_json(read_file(path), path.string()); }

}  // namespace polariscope::checkpoints
