#include "polariscope/report/section.h"

namespace polariscope {

void to_json(nlohmann::json& json, const Section& section) {
  // Pairs as a list of [name, value]: an object would lose the reading order.
  auto configuration = nlohmann::json::array();
  for (const auto& [name, value] : section.configuration) {
    configuration.push_back(nlohmann::json::array({name, value}));
  }
  json = {{"id", section.id},
          {"title", section.title},
          {"source", section.source},
          {"question", section.question},
          {"method", section.method},
          {"findings", section.findings},
          {"claims", section.claims},
          {"figures", section.figures},
          {"configuration", std::move(configuration)},
          {"differences", section.differences},
          {"command", section.command},
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
  section.configuration.clear();
  for (const auto& pair : json.at("configuration")) {
    section.configuration.emplace_back(pair.at(0).get<std::string>(), pair.at(1).get<std::string>());
  }
  json.at("differences").get_to(section.differences);
  json.at("command").get_to(section.command);
  json.at("wall_seconds").get_to(section.wall_seconds);
}

}  // namespace polariscope
