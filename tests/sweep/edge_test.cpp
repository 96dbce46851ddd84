// Searches for a planted edge: workers that train nothing, and count what they are asked for.
#include "polariscope/sweep/edge.h"

#include "polariscope/base/config.h"
#include "polariscope/base/files.h"
#include "polariscope/sweep/edge_table.h"
#include "support/complaint.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <regex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace polariscope::sweep {
namespace {

namespace fs = std::filesystem;

struct PlantedRun {
  std::string attention;
  double rate = 0.0;
  std::int64_t seed = 0;
};

PlantedRun run_of(const std::string& config) {
  const Config parsed = Config::parse(config, "the run");
  const ConfigValue& rate = parsed.entries().at("learning-rate").value;
  const auto* whole = std::get_if<std::int64_t>(&rate);
  return {.attention = std::get<std::string>(parsed.entries().at("attention").value),
          .rate = whole != nullptr ? static_cast<double>(*whole) : std::get<double>(rate),
          .seed = std::get<std::int64_t>(parsed.entries().at("seed").value)};
}

// Leaves a result in the run's folder as a training does. As LocalWorkers, executes no run that has one.
class PlantedWorkers : public Workers {
 public:
  using Edge = std::function<double(const PlantedRun&)>;
  PlantedWorkers(Edge edge, int places) : edge_(std::move(edge)), places_(places) {}

  bool has_place() const override { return static_cast<int>(jobs_.size()) < places_; }
  void start(Job job) override {
    most_at_once_ = std::max(most_at_once_, static_cast<int>(jobs_.size()) + 1);
    jobs_.push_back(std::move(job));
  }
  std::vector<RunEnd> ended() override {
    if (jobs_.empty()) return {};
    const Job job = jobs_.back();  // not in the order in which they began
    jobs_.pop_back();
    const std::optional<RunEnd> done = read_result(job.folder);
    RunEnd end = done ? *done : executed(job);
    end.run = job.run;
    return {end};
  }
  void stop() override { jobs_.clear(); }

  int executed_runs() const { return executed_; }
  int most_at_once() const { return most_at_once_; }
  int breaks_after = 1'000'000;  // runs, as if the power failed
  std::string fails;             // the attention whose runs end without a result, and
  std::string fails_with;        // how

 private:
  RunEnd executed(const Job& job) {
    if (executed_ == breaks_after) throw std::runtime_error("power failure");
    ++executed_;
    const PlantedRun run = run_of(job.config);
    if (run.attention == fails) return {.failure = fails_with};
    make_folder(job.folder);
    write_file(job.folder / "metrics.jsonl",
               R"({"step":1,"loss":2.0,"gradient_norm":1.0,"entropy":[[1.5]],"frobenius_norm":[[1.0]],)"
               R"("logit_variance":[[1.0]]})"
               "\n");
    const bool diverged = run.rate > edge_(run);
    write_file(job.folder / "result.json",
               diverged ? R"({"steps": 1, "diverged": true, "loss": null})" : R"({"steps": 1, "diverged": false})");
    return *read_result(job.folder);
  }

  Edge edge_;
  int places_, executed_ = 0, most_at_once_ = 0;
  std::vector<Job> jobs_;
};

class EdgeTest : public ::testing::Test {
 protected:
  static EdgeVariant variant(const std::string& attention) {
    return {.name = "attention=" + attention,
            .settings = {{"task", std::string("in-context-regression")}, {"attention", attention}}};
  }
  EdgePlan plan(int seeds) const {
    return {.variants = {variant("softmax"), variant("relu_kernel/sum")}, .first_rate = 0.1, .seeds = seeds};
  }
  EdgeEnd found(const EdgePlan& plan, Workers& workers) {
    ProgressBoard board(ProgressBoard::Mode::kQuiet);
    return find_edges(plan, place(), workers, board);
  }
  fs::path place() const { return folder_.path() / "edge"; }

  testing::TemporaryFolder folder_;
};

// Of softmax 0.2, of kernels ten times that, and a third more with each seed.
double planted(const PlantedRun& run) {
  return (run.attention == "softmax" ? 0.2 : 2.0) * std::pow(4.0 / 3.0, static_cast<double>(run.seed));
}

TEST_F(EdgeTest, FindsThePlantedEdgeOfEveryVariantAndSeed) {
  for (const int places : {1, 3}) {
    fs::remove_all(place());
    PlantedWorkers workers(planted, places);
    const EdgeEnd end = found(plan(3), workers);
    EXPECT_FALSE(end.interrupted);
    ASSERT_EQ(end.variants.size(), 2U);
    std::size_t runs = 0;
    for (std::size_t i = 0; i < 2; ++i) {
      ASSERT_EQ(end.variants[i].seeds.size(), 3U);
      for (const SeedEdge& seed : end.variants[i].seeds) {
        const double edge = planted({i == 0 ? "softmax" : "relu_kernel/sum", 0.0, seed.seed});
        EXPECT_TRUE(seed.known);
        EXPECT_LE(seed.held, edge);
        EXPECT_GT(seed.collapsed, edge);
        EXPECT_LE(seed.collapsed, 1.5 * seed.held);
        runs += seed.runs.size();
        for (const EdgeRun& run : seed.runs) EXPECT_TRUE(fs::exists(place() / run.folder / "result.json"));
      }
    }
    EXPECT_EQ(workers.executed_runs(), static_cast<int>(runs));
    EXPECT_EQ(workers.most_at_once(), places);
  }
}

TEST_F(EdgeTest, GoesOnAfterAnyRunWithoutExecutingOneTwice) {
  PlantedWorkers whole(planted, 1);
  const std::string expected = edges_as_json(plan(2), found(plan(2), whole).variants);
  const int all = whole.executed_runs();
  for (int first = 0; first < all; first += 5) {
    fs::remove_all(place());
    PlantedWorkers broken(planted, 2), rest(planted, 2);
    broken.breaks_after = first;
    EXPECT_THROW(found(plan(2), broken), std::runtime_error);
    EXPECT_EQ(edges_as_json(plan(2), found(plan(2), rest).variants), expected);
    EXPECT_EQ(broken.executed_runs() + rest.executed_runs(), all);
  }
}

TEST_F(EdgeTest, ASearchThatIsDoneExecutesNothing) {
  PlantedWorkers first(planted, 1), again(planted, 1);
  const EdgeEnd end = found(plan(1), first);
  EXPECT_EQ(edges_in_words(plan(1), found(plan(1), again).variants), edges_in_words(plan(1), end.variants));
  EXPECT_EQ(again.executed_runs(), 0);
}

TEST_F(EdgeTest, ARunThatFailsEndsItsSeedsSearchAloneAndIsTriedAgain) {
  PlantedWorkers workers(planted, 1);
  workers.fails = "softmax";
  workers.fails_with = "exit code 2: polariscope: no such thing";
  const EdgeEnd end = found(plan(2), workers);
  for (const SeedEdge& seed : end.variants[0].seeds) {
    EXPECT_EQ(seed.failure, workers.fails_with);
    EXPECT_FALSE(seed.known);
  }
  for (const SeedEdge& seed : end.variants[1].seeds) EXPECT_TRUE(seed.known);
  const std::string words = edges_in_words(plan(2), end.variants);
  EXPECT_NE(words.find("attention=softmax seed 1 has no edge, for a run failed: " + workers.fails_with + "\n"),
            std::string::npos)
      << words;
  PlantedWorkers mended(planted, 1);
  EXPECT_TRUE(found(plan(2), mended).variants[0].seeds[0].known);
}

TEST_F(EdgeTest, AFolderOfAnotherSearchIsRefused) {
  PlantedWorkers workers(planted, 1);
  found(plan(1), workers);
  EdgePlan other_rates = plan(1), fewer = plan(1);
  other_rates.first_rate = 0.2;
  fewer.variants.pop_back();
  for (const EdgePlan& other : {other_rates, fewer}) {
    const std::string complaint = testing::complaint_of([&] { found(other, workers); });
    EXPECT_NE(complaint.find("holds another run"), std::string::npos) << complaint;
  }
}

TEST_F(EdgeTest, MoreSeedsAndAFinerEdgeAreFurtherRunsOfTheSameSearch) {
  PlantedWorkers first(planted, 1), more(planted, 1), whole(planted, 1);
  found(plan(1), first);
  EdgePlan finer = plan(2);
  finer.within = 1.1;
  const EdgeEnd end = found(finer, more);
  EXPECT_LE(end.variants[1].seeds[0].collapsed, 1.1 * end.variants[1].seeds[0].held);
  fs::remove_all(place());
  found(finer, whole);
  EXPECT_EQ(first.executed_runs() + more.executed_runs(), whole.executed_runs());
}

std::string single_spaced(const std::string& text) { return std::regex_replace(text, std::regex(" +"), " "); }

TEST_F(EdgeTest, TellsWhatItFoundInATableAndAsJson) {
  PlantedWorkers workers(planted, 1);
  const EdgeEnd end = found(plan(2), workers);
  const std::string words = edges_in_words(plan(2), end.variants);
  // 0.1 held, 0.4 not, 0.2 held, 0.2828 not; of seed 1 (0.267) the same.
  EXPECT_NE(single_spaced(words).find("\nattention=softmax 0.2 (0.2 to 0.2, 2 seeds) 1 2 8 diverged 4\n"),
            std::string::npos)
      << words;
  const auto json = nlohmann::json::parse(read_file(place() / "edge.json"));
  const auto& softmax = json.at("variants").at(0);
  EXPECT_EQ(softmax.at("settings").at("attention"), "softmax");
  EXPECT_EQ(softmax.at("settings").at("layers"), 5);  // a default
  EXPECT_EQ(softmax.at("edge").at("lowest"), nlohmann::json({{"rate", 0.2}, {"side", "at"}}));
  EXPECT_EQ(softmax.at("seeds").at(0).at("runs").at(1).at("learning_rate"), 0.4);
  EXPECT_EQ(softmax.at("seeds").at(0).at("runs").at(1).at("sign"), "diverged");
  EXPECT_EQ(softmax.at("seeds").at(0).at("runs").at(1).at("steps"), 1);
}

SeedEdge edge_of(double held, double collapsed) {
  return {.seed = 0, .held = held, .collapsed = collapsed, .known = true};
}

TEST(EdgeSpread, IsTheMedianInTheLogarithmWithTheEnds) {
  const auto spread = spread_of({"v", {edge_of(0.4, 0.5), edge_of(0.1, 0.2), edge_of(0.9, 1.0), edge_of(0.4, 0.6)}});
  ASSERT_TRUE(spread.has_value());
  EXPECT_EQ(spread->lowest.rate, 0.1);
  EXPECT_EQ(spread->highest.rate, 0.9);
  EXPECT_DOUBLE_EQ(spread->median->rate, 0.4);
  EXPECT_DOUBLE_EQ(spread_of({"v", {edge_of(0.1, 0.2), edge_of(0.4, 0.5)}})->median->rate, 0.2);
}

TEST(EdgeSpread, SaysWhereAnEdgeIsBeyondWhatWasTried) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const SeedEdge below = edge_of(0.0, 0.001), above = edge_of(4096.0, kInfinity);
  EXPECT_EQ(in_words(*spread_of({"v", {below}})->median), "below 0.001");
  EXPECT_EQ(in_words(*spread_of({"v", {above}})->median), "at least 4096");
  EXPECT_EQ(in_words(spread_of({"v", {above, edge_of(0.5, 0.6)}})->highest), "at least 4096");
  EXPECT_FALSE(spread_of({"v", {below, above}})->median.has_value());
  EXPECT_FALSE(spread_of({"v", {{.seed = 0}}}).has_value());
}

}  // namespace
}  // namespace polariscope::sweep
