// What the figures of language models draw of several runs: medians with ranges, window by window.
#include "made_up_language.h"

#include <set>
#include <string>
#include <variant>
#include <vector>

namespace polariscope::testing {
namespace {

// Of a figure's table: a panel's points of one attention.
struct Points {
  std::vector<double> step, median, lowest, highest;
};

template <class Value>
const std::vector<Value>& column(const report::Figure& figure, const std::string& name) {
  const auto found = std::ranges::find(figure.table.columns, name, &report::Column::name);
  if (found == figure.table.columns.end()) throw std::runtime_error("no column " + name);
  return std::get<std::vector<Value>>(found->values);
}

Points points_of(const report::Figure& figure, const std::string& panel, const std::string& attention,
                 const std::string& y) {
  Points points;
  for (std::size_t row = 0; row < figure.table.rows(); ++row) {
    if (column<std::string>(figure, "panel")[row] != panel) continue;
    if (column<std::string>(figure, "series")[row] != attention) continue;
    points.step.push_back(column<double>(figure, "step")[row]);
    points.median.push_back(column<double>(figure, y)[row]);
    points.lowest.push_back(column<double>(figure, "lowest")[row]);
    points.highest.push_back(column<double>(figure, "highest")[row]);
  }
  return points;
}

const std::string kLoss = "validation loss (nats a token)";

TEST(LanguageFigures, DrawMedianAndRangeOverLearningRatesAndSeeds) {
  const MadeUpRuns runs(language_grid(), [](const json& settings) {
    const double rate = settings.at("learning_rate").get<double>();
    return made_up_language({.loss = 2.0 + 0.1 * settings.at("seed").get<double>() + (rate > 5e-3 ? 0.4 : 0.0)});
  });
  const report::Section section = runs.section_of("B.fig5");
  const report::Figure& figure = section.figures.front();
  for (const char* panel : {"Llama", "GPT-2"}) {
    for (const char* attention : {"softmax", "QK-LayerNorm", "relu_kernel/sum", "elu1_kernel/sum"}) {
      SCOPED_TRACE(std::string(panel) + " " + attention);
      const Points points = points_of(figure, panel, attention, kLoss);
      // Without that of step 0, which would flatten the rest.
      ASSERT_EQ(points.step, (std::vector<double>{20.0, 40.0}));
      EXPECT_NEAR(points.median[1], 2.25, 1e-12);  // of 2.0, 2.1, 2.4 and 2.5
      EXPECT_NEAR(points.lowest[1], 2.0, 1e-12);
      EXPECT_NEAR(points.highest[1], 2.5, 1e-12);
      EXPECT_NEAR(points.median[0], 3.25, 1e-12);
    }
  }
  EXPECT_NE(figure.caption.find("before the first step"), std::string::npos) << figure.caption;
  EXPECT_NE(section.findings.find("2.25 (2 to 2.5, 4 runs)"), std::string::npos) << section.findings;
}

// Two steps a window; a run that diverged stands beside the others at the same steps while it lasts.
TEST(LanguageFigures, DrawARunThatEndedEarlyAtItsOwnSteps) {
  const MadeUpRuns runs(language_grid("\"llama-3m\""), [](const json& settings) {
    const bool diverges = settings.at("seed") == 1 && settings.at("attention") == "softmax";
    return made_up_language({.steps = 240, .ends = diverges ? 81 : 0});
  });
  const report::Section section = runs.section_of("B.fig1top");
  const report::Figure& figure = section.figures.front();
  const Points points = points_of(figure, "gradient norm", "softmax", "gradient norm, before clipping");
  ASSERT_EQ(points.step.size(), 120U);
  for (const std::size_t window : {29U, 39U, 40U, 119U}) {
    const double step = points.step[window];
    EXPECT_EQ(step, 2.0 * (static_cast<double>(window) + 1.0));
    EXPECT_NEAR(points.median[window], 1.0 + 0.1 * (step - 0.5), 0.051) << step;
    EXPECT_NEAR(points.highest[window], points.lowest[window], 0.051) << step;  // half of one step
  }
}

TEST(LanguageFigures, TellTheSettingsOfTheirRuns) {
  const MadeUpRuns runs("clip = 0.5\nbeta_2 = 0.99\nwarmup = [2, 4]\n" + language_grid(),
                        [](const json& /*settings*/) { return made_up_language({}); });
  const report::Section section = runs.section_of("B.fig5");
  EXPECT_NE(section.method.find("adamw, a cosine schedule down to 0.1 of the rate, clipping at 0.5."),
            std::string::npos)
      << section.method;
  EXPECT_NE(section.differences.find("betas 0.9 and 0.99, 2 or 4 steps of warm-up"), std::string::npos)
      << section.differences;
}

TEST(LanguageFigures, HaveAFigureForEveryClaimAndSayWhatTheyCut) {
  const MadeUpRuns runs(language_grid(), [](const json& /*settings*/) { return made_up_language({}); });
  for (const char* id : {"B.fig1top", "B.fig5", "B.fig7"}) {
    SCOPED_TRACE(id);
    const report::Section section = runs.section_of(id);
    EXPECT_NE(section.differences.find("model llama-3m, gpt2-15m for llama-1b, gpt2-large"), std::string::npos)
        << section.differences;
    EXPECT_NE(section.method.find("32 of 32 trainings are done"), std::string::npos) << section.method;
    std::set<std::string> figures;
    for (const report::Figure& figure : section.figures) figures.insert(figure.id);
    for (const report::Claim& claim : section.claims) {
      EXPECT_TRUE(claim.id.starts_with(std::string(id) + "/")) << claim.id;
      EXPECT_TRUE(figures.contains(claim.evidence)) << claim.id << " has no figure " << claim.evidence;
    }
  }
}

}  // namespace
}  // namespace polariscope::testing
