// Values of a JSON file that was written by others, with the way to them, so that a refusal says where.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::tasks::text {

// A JSON file's contents; throws Error, begun with `where`, for what is no JSON.
nlohmann::json parse_json(std::string_view text, const std::string& where);

class JsonNode {
 public:
  // `value` must outlive this.
  JsonNode(const nlohmann::json& value, std::string where) : value_(&value), where_(std::move(where)) {}

  const nlohmann::json& value() const { return *value_; }
  const std::string& where() const { return where_; }
  bool is_text() const { return value_->is_string(); }

  // Each throws Error where the value is of another kind.
  const std::string& text() const;
  bool flag() const;
  std::int64_t whole() const;
  double number() const;
  std::int32_t id() const;  // of a token, from 0 on
  std::vector<JsonNode> items() const;
  const nlohmann::json& object() const;
  const nlohmann::json& array() const;

  // A member of an object: nullopt where it is absent or null; at() throws Error then.
  std::optional<JsonNode> find(const std::string& key) const;
  JsonNode at(const std::string& key) const;
  std::string text_or(const std::string& key, const std::string& otherwise) const;
  bool flag_or(const std::string& key, bool otherwise) const;

  // Throws Error that names the first member that is not one of `known`.
  void allow(std::initializer_list<std::string_view> known) const;
  // Throws Error: `<where> is of type "<type>"`, which none here reads.
  [[noreturn]] void refuse_type(std::string_view what, const std::string& type,
                                std::initializer_list<std::string_view> known) const;

 private:
  [[noreturn]] void expected(std::string_view what) const;

  const nlohmann::json* value_;
  std::string where_;
};

}  // namespace polariscope::tasks::text
