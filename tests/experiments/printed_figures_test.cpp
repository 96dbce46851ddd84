// The Lipschitz paper's figures as printed: what each experiment with a figure's number draws, panel by panel.
#include "made_up_language.h"
#include "made_up_regression.h"
#include "polariscope/base/progress.h"
#include "polariscope/experiments/lipschitz/fig2.h"
#include "polariscope/experiments/lipschitz/fig9.h"

#include <string>
#include <vector>

namespace polariscope::testing {
namespace {

struct PrintedPanel {
  std::string title, x, y;
};
struct PrintedFigure {
  const char *experiment, *figure;  // the first of its section
  std::vector<PrintedPanel> panels;
  bool marked = false;  // with a ▼
  bool logarithmic = false;
};

const std::string kStep = "step";

std::vector<PrintedFigure> printed_figures() {
  const std::string entropy = "entropy H (nats)", variance = "variance of logits", row = "variance of a row's logits",
                    ratio = "H̃ = H/(log N − H)", weight = "attention probability p";
  std::vector<PrintedPanel> laws, maps;
  for (const std::string attention : {"softmax", "QK-LayerNorm", "relu_kernel/sum", "elu1_kernel/sum"}) {
    laws.push_back({attention, row, ratio});
  }
  for (const std::string attention : {"softmax", "relu_kernel/sum"}) {
    for (const char* step : {", step 1", ", step 20", ", step 40"}) maps.push_back({attention + step, "key", "query"});
  }
  return {{"B.fig1",
           "training",
           {{"loss", kStep, "training loss"},
            {"gradient norm", kStep, "gradient norm"},
            {"entropy", kStep, "entropy H of the first layer (nats)"},
            {"norm of attention", kStep, "‖P‖_F, mean over layers"}}},
          {"B.fig3", "variance", {{"", kStep, variance}}, true, true},
          {"B.fig4", "law", laws},
          {"B.fig6", "entropy", {{"layer 1", kStep, entropy}, {"layer 2", kStep, entropy}}, true},
          {"B.fig8",
           "skewness",
           {{"skewness", kStep, "skewness of rows"},
            {"softmax at its peak", weight, "count"},
            {"relu_kernel/sum at its peak", weight, "count"}}},
          {"B.fig10", "variance", {{"layer 1", kStep, variance}, {"layer 2", kStep, variance}}, true, true},
          {"B.fig11", "maps", maps}};
}

// Softmax and QK-LayerNorm collapse; the kernels do not.
MadeUp as_printed(const json& settings) {
  const bool softmax = settings.at("attention") == "softmax";
  return made_up({.collapses = softmax, .variance_rate = softmax ? 0.1 : 0.0, .one_hot = softmax});
}

// The titles of a chart's axes.
PrintedPanel panel_of(const json& chart) {
  const auto title = [&](const char* axis) {
    for (const json& layer : chart.at("layer")) {
      const json::json_pointer at(fmt::format("/encoding/{}/title", axis));
      if (layer.contains(at)) return layer.at(at).get<std::string>();
    }
    return std::string();
  };
  const json::json_pointer name("/title/text");
  return {chart.contains(name) ? chart.at(name).get<std::string>() : "", title("x"), title("y")};
}

void expect_drawn(const report::Figure& figure, const PrintedFigure& printed) {
  EXPECT_EQ(figure.id, printed.figure);
  const json charts = figure.spec.value("concat", json::array({figure.spec}));
  ASSERT_EQ(charts.size(), printed.panels.size()) << charts.size();
  for (std::size_t i = 0; i < charts.size(); ++i) {
    const PrintedPanel found = panel_of(charts[i]);
    // A law's panel says its exponent too.
    EXPECT_TRUE(found.title.starts_with(printed.panels[i].title)) << found.title;
    EXPECT_EQ(found.x, printed.panels[i].x);
    EXPECT_EQ(found.y, printed.panels[i].y);
    const std::string text = charts[i].dump();
    EXPECT_EQ(text.find("triangle-down") != std::string::npos, printed.marked) << found.title;
    if (printed.logarithmic) {
      EXPECT_NE(text.find("\"type\":\"log\""), std::string::npos) << found.title;
    }
  }
}

void expect_number(const char* id) {
  const std::string source(experiments::find_experiment(id).source);
  std::string number = std::string(id).substr(std::string("B.fig").size());
  number = number.substr(0, number.find_first_not_of("0123456789"));  // of "1top"
  EXPECT_NE(source.find("figure " + number), std::string::npos) << source;
}

TEST(PrintedFigures, AreDrawnPanelByPanelUnderTheirNumbers) {
  const MadeUpRuns runs(
      fmt::format("task = \"in-context-regression\"\nsequence_length = {}\nlayers = {}\nsteps = 100\nbatch = 10\n"
                  "attention = [\"softmax\", \"relu_kernel/sum\", \"elu1_kernel/sum\"]\nqk_norm = [\"no\", \"layer\"]\n"
                  "seed = {{ from = 0, to = 4 }}\n"
                  "[[skip]]\nattention = [\"relu_kernel/sum\", \"elu1_kernel/sum\"]\nqk_norm = \"layer\"\n",
                  kTokens, kLayers),
      as_printed);
  for (const PrintedFigure& printed : printed_figures()) {
    SCOPED_TRACE(printed.experiment);
    expect_number(printed.experiment);
    const report::Section section = runs.section_of(printed.experiment);
    ASSERT_FALSE(section.figures.empty());
    expect_drawn(section.figures.front(), printed);
  }
}

// Figures 1 (top) and 7: four panels, then the entropy of every layer; figure 5: validation loss, one panel a model.
TEST(PrintedFigures, OfLanguageModelsAreDrawnPanelByPanel) {
  const MadeUpRuns runs(language_grid(), [](const json& settings) {
    return made_up_language({.end = settings.at("attention") == "softmax" ? 0.2 : 0.9});
  });
  std::vector<PrintedPanel> layers;
  for (int layer = 1; layer <= kLanguageLayers; ++layer) {
    layers.push_back({fmt::format("layer {}", layer), kStep, "entropy H (nats)"});
  }
  const std::string loss = "validation loss (nats a token)";
  for (const char* id : {"B.fig1top", "B.fig7"}) {
    SCOPED_TRACE(id);
    expect_number(id);
    const report::Section section = runs.section_of(id);
    ASSERT_EQ(section.figures.size(), 2U);
    expect_drawn(section.figures[0], {id,
                                      "training",
                                      {{"loss", kStep, "training loss (nats a token)"},
                                       {"gradient norm", kStep, "gradient norm, before clipping"},
                                       {"entropy", kStep, "entropy H of the first layer (nats)"},
                                       {"norm of attention", kStep, "‖P‖_F, mean over layers"}}});
    EXPECT_NE(section.figures[0].spec.at("concat")[1].dump().find("\"type\":\"log\""), std::string::npos);
    expect_drawn(section.figures[1], {id, "entropy", layers});
  }
  expect_number("B.fig5");
  const report::Section five = runs.section_of("B.fig5");
  ASSERT_EQ(five.figures.size(), 1U);
  expect_drawn(five.figures[0], {"B.fig5", "validation", {{"Llama", kStep, loss}, {"GPT-2", kStep, loss}}});
}

// Figures 2 and 9 need no training: entropy, one row's weights and the rate of change; entropy against norm.
TEST(PrintedFigures, ThatNeedNoTrainingAreDrawnPanelByPanel) {
  using namespace experiments::lipschitz;
  fig2::Protocol two = fig2::protocol_of(experiments::Preset::kQuick);
  two.seeds = 1;
  two.width_queries = 2;
  two.widths = {2, 4};
  fig9::Protocol nine = fig9::protocol_of(experiments::Preset::kQuick);
  nine.seeds = 1;
  experiments::Context context{.progress = {}};
  context.progress = [](std::uint64_t, const std::string&) { return Progress(); };
  const report::Section second = fig2::describe(two, fig2::measure(context, two));
  const std::string law = "H̃ = H/(log N − H)", variance = "variance of the scores Var";
  std::vector<PrintedPanel> rows;
  for (const char* attention : {"softmax", "QK-LayerNorm", "ReLU kernel", "ELU+1 kernel"}) {
    rows.push_back({attention, "weight p", "keys"});
  }
  expect_number("B.fig2");
  ASSERT_GE(second.figures.size(), 3U);
  expect_drawn(second.figures[0],
               {"B.fig2", "entropy", {{"", "standard deviation of the scores σ", "attention entropy H (nats)"}}});
  expect_drawn(second.figures[1], {"B.fig2", "rows", rows});
  expect_drawn(
      second.figures[2],
      {"B.fig2",
       "power-law",
       {{"σ from 1 to 8", variance, law}, {"small keys", variance, law}, {"small query and key", variance, law}},
       false,
       true});
  const report::Section ninth = fig9::describe(nine, fig9::measure(context, nine));
  expect_number("B.fig9");
  ASSERT_FALSE(ninth.figures.empty());
  std::vector<PrintedPanel> alphas;
  for (const char* alpha : {"α = 0.1", "α = 0.001"}) {
    alphas.push_back({alpha, "entropy of the row H (nats)", "norm of the row ‖p‖"});
  }
  expect_drawn(ninth.figures.front(), {"B.fig9", "scatter", alphas});
}

}  // namespace
}  // namespace polariscope::testing
