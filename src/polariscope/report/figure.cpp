#include "polariscope/report/figure.h"

namespace polariscope::report {

void to_json(nlohmann::json& json, const Figure& figure) {
  json = {{"id", figure.id},           {"title", figure.title},
          {"caption", figure.caption}, {"alternative", figure.alternative},
          {"spec", figure.spec},       {"table", figure.table}};
}

void from_json(const nlohmann::json& json, Figure& figure) {
  json.at("id").get_to(figure.id);
  json.at("title").get_to(figure.title);
  json.at("caption").get_to(figure.caption);
  json.at("alternative").get_to(figure.alternative);
  figure.spec = json.at("spec");
  json.at("table").get_to(figure.table);
}

}  // namespace polariscope::report
