#include "polariscope/tasks/text/internal/json_node.h"

#include "polariscope/base/error.h"
#include "polariscope/base/names.h"

#include <algorithm>
#include <limits>
#include <span>

namespace polariscope::tasks::text {

nlohmann::json parse_json(std::string_view text, const std::string& where) {
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    throw Error("{} is not JSON: it cannot be read from byte {} on", where, error.byte);
  } catch (const nlohmann::json::out_of_range&) {
    throw Error("{} is not JSON: a number in it is out of range", where);
  }
}

void JsonNode::expected(std::string_view what) const {
  throw Error("{}: expected {}, found {}", where_, what, value_->type_name());
}

const std::string& JsonNode::text() const {
  if (!value_->is_string()) expected("a text");
  return value_->get_ref<const std::string&>();
}

bool JsonNode::flag() const {
  if (!value_->is_boolean()) expected("true or false");
  return value_->get<bool>();
}

std::int64_t JsonNode::whole() const {
  if (!value_->is_number_integer()) expected("a whole number");
  if (value_->is_number_unsigned() && value_->get<std::uint64_t>() > std::uint64_t{1} << 62) {
    throw Error("{}: {} is out of range", where_, value_->get<std::uint64_t>());
  }
  return value_->get<std::int64_t>();
}

std::int32_t JsonNode::id() const {
  const std::int64_t value = whole();
  if (value < 0 || value > std::numeric_limits<std::int32_t>::max()) {
    throw Error("{}: {} is no number of a token", where_, value);
  }
  return static_cast<std::int32_t>(value);
}

double JsonNode::number() const {
  if (!value_->is_number()) expected("a number");
  return value_->get<double>();
}

const nlohmann::json& JsonNode::object() const {
  if (!value_->is_object()) expected("an object");
  return *value_;
}

const nlohmann::json& JsonNode::array() const {
  if (!value_->is_array()) expected("a list");
  return *value_;
}

std::vector<JsonNode> JsonNode::items() const {
  std::vector<JsonNode> nodes;
  for (const auto& item : array()) nodes.emplace_back(item, where_ + "[" + std::to_string(nodes.size()) + "]");
  return nodes;
}

std::optional<JsonNode> JsonNode::find(const std::string& key) const {
  const auto member = object().find(key);
  if (member == value_->end() || member->is_null()) return std::nullopt;
  return JsonNode(*member, where_ + (where_.ends_with(": ") ? "" : ".") + key);
}

JsonNode JsonNode::at(const std::string& key) const {
  auto member = find(key);
  if (!member)
    throw Error("{} has no \"{}\"", where_.ends_with(": ") ? where_.substr(0, where_.size() - 2) : where_, key);
  return *std::move(member);
}

std::string JsonNode::text_or(const std::string& key, const std::string& otherwise) const {
  const auto member = find(key);
  return member ? member->text() : otherwise;
}

bool JsonNode::flag_or(const std::string& key, bool otherwise) const {
  const auto member = find(key);
  return member ? member->flag() : otherwise;
}

void JsonNode::allow(std::initializer_list<std::string_view> known) const {
  for (const auto& [key, member] : object().items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      throw Error("{}: \"{}\" is not understood, and it may change the ids", where_, key);
    }
  }
}

void JsonNode::refuse_type(std::string_view what, const std::string& type,
                           std::initializer_list<std::string_view> known) const {
  throw Error("{}: {}", where_, unknown_name(what, type, std::span(known.begin(), known.size())));
}

}  // namespace polariscope::tasks::text
