#include "polariscope/report/section.h"

#include <gtest/gtest.h>

namespace polariscope {
namespace {

TEST(Section, SurvivesJsonWithItsOrder) {
  report::Section section;
  section.id = "A.fig2";
  section.title = "Weights \"polarise\"";
  section.source = "Polarisation paper, figure 2";
  section.question = "Do they?";
  section.method = "We looked.";
  section.findings = "They do.";
  section.claims = {{"A.fig2/a", "s", "f", "c", "m", 1, 0, 2, 3, report::Verdict::kFails, "sigma"}};
  report::Figure figure;
  figure.id = "sigma";
  figure.title = "σ";
  figure.caption = "see";
  figure.alternative = "hear";
  figure.spec = {{"mark", "line"}};
  figure.table.columns = {{"x", std::vector<double>{1, 2}}, {"n", std::vector<std::string>{"a", "b"}}};
  section.figures = {figure};
  section.listings = {{"heads", "Heads", "sorted", figure.table}};
  section.configuration = {{"z", "first"}, {"a", "second"}, {"z", "again"}};
  section.differences = "none";
  section.command = "polariscope reproduce A.fig2";
  section.runs = {{"softmax, seed 0", "runs/quick/runs/00001"}};
  section.wall_seconds = 1.5;

  const auto json = nlohmann::json(section);
  const report::Section back = nlohmann::json::parse(json.dump()).get<report::Section>();
  EXPECT_EQ(nlohmann::json(back), json);
  EXPECT_EQ(nlohmann::json(back), json);
  EXPECT_EQ(back.configuration, section.configuration);
  EXPECT_EQ(back.runs, section.runs);
  EXPECT_EQ(back.figures.at(0).table.csv(), figure.table.csv());
  EXPECT_EQ(back.claims.at(0).verdict, report::Verdict::kFails);
}

}  // namespace
}  // namespace polariscope
