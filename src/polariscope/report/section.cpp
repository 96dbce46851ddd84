#include "polariscope/report/section.h"

namespace polariscope::report {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

// A list of [name, value]: an object would lose the reading order.
nlohmann::json list_of(const Pairs& pairs) {
  auto list = nlohmann::json::array();
  for (const auto& [name, value] : pairs) list.push_back(nlohmann::json::array({name, value}));
  return list;
}

Pairs pairs_of(const nlohmann::json& list) {
  Pairs pairs;
  for (const auto& pair : list) pairs.emplace_back(pair.at(0).get<std::string>(), pair.at(1).get<std::string>());
  return pairs;
}

}  // namespace

void to_json(nlohmann::json& json, const Listing& listing) {
  json = {{"id", listing.id}, {"title", listing.title}, {"caption", listing.caption}, {"table", listing.table}};
}

void from_json(const nlohmann::json& json, Listing& listing) {
  json.at("id").get_to(listing.id);
  json.at("title").get_to(listing.title);
  json.at("caption").get_to(listing.caption);
  json.at("table").get_to(listing.table);
}

void to_json(nlohmann::json& json, const Section& section) {
  json = {{"id", section.id},
          {"title", section.title},
          {"source", section.source},
          {"question", section.question},
          {"method", section.method},
          {"findings", section.findings},
          {"claims", section.claims},
          {"figures", section.figures},
          {"listings", section.listings},
          {"configuration", list_of(section.configuration)},
          {"differences", section.differences},
          {"command", section.command},
          {"runs", list_of(section.runs)},
          {"wall_seconds", section.wall_seconds}};
}

void from_json(const nlohmann::json& json, Section& section) {
  json.at("id").get_to(section.id);
  json.at("title").get_to(section.title);
  json.at("source").get_to(section.source);
  json.at("question").get_to(section.question);
  json.at("method").get_to(section.method);
  json.at("findings").get_to(section.findings);
  json.at("claims").get_to(section.claims);
  json.at("figures").get_to(section.figures);
  json.at("listings").get_to(section.listings);
  section.configuration = pairs_of(json.at("configuration"));
  json.at("differences").get_to(section.differences);
  json.at("command").get_to(section.command);
  section.runs = pairs_of(json.at("runs"));
  json.at("wall_seconds").get_to(section.wall_seconds);
}

}  // namespace polariscope::report
