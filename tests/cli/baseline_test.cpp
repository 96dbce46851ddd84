// The paper's reference experiments through the command line: arrays in by --init, values out by --json.
#include "command.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>

namespace polariscope::testing {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Words = std::vector<std::string>;

// The project's copy, the folder named by POLARISCOPE_DATA, or shared/data beside the sources.
fs::path baseline_path() {
  const fs::path sources = POLARISCOPE_SOURCE_DIR;
  std::vector<fs::path> places{sources / "tests/golden/value_softmax.json"};
  if (const char* data = std::getenv("POLARISCOPE_DATA"))
    places.push_back(fs::path(data) / "baseline/value_softmax.json");
  for (const char* up : {"..", "../.."}) places.push_back(sources / up / "shared/data/baseline/value_softmax.json");
  const auto found =
      std::find_if(places.begin(), places.end(), [](const fs::path& place) { return fs::exists(place); });
  return found == places.end() ? fs::path() : *found;
}

class Baseline : public ::testing::Test {
 protected:
  void SetUp() override {
    const fs::path path = baseline_path();
    if (path.empty()) GTEST_SKIP() << "baseline/value_softmax.json is neither in tests/golden nor in POLARISCOPE_DATA";
    baseline_ = Json::parse(bytes_of(path));
  }

  Json flow(const Json& init, Words options) const {
    write_bytes(folder_.path() / "arrays.json", init.dump());
    options.insert(options.begin(), {"flow", "--init", "arrays.json", "--json"});
    Surroundings surroundings;
    surroundings.folder = folder_.path();
    const Outcome outcome = polariscope_run(options, surroundings);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return Json::parse(outcome.out, nullptr, false);
  }

  Json baseline_;

 private:
  TemporaryFolder folder_;
};

std::vector<double> flat(const Json& values) {
  std::vector<double> numbers;
  if (values.is_number()) return {values.get<double>()};
  for (const Json& entry : values) {
    const std::vector<double> inner = flat(entry);
    numbers.insert(numbers.end(), inner.begin(), inner.end());
  }
  return numbers;
}

// Sums in another order differ by rounding, which gradient descent carries along.
constexpr double kTolerance = 1e-9;  // of the largest entry

void expect_near(const Json& found, const Json& expected, const std::string& what) {
  const std::vector<double> a = flat(found), b = flat(expected);
  ASSERT_EQ(a.size(), b.size()) << what;
  ASSERT_FALSE(b.empty()) << what;
  double largest = 0.0, difference = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(b[i]));
    difference = std::isnan(a[i]) ? INFINITY : std::max(difference, std::abs(a[i] - b[i]));
  }
  EXPECT_LE(difference, kTolerance * largest) << what << ": largest entry " << largest;
}

Json pick(const Json& from, const Words& keys) {
  Json object;
  for (const std::string& key : keys) object[key] = from.at(key);
  return object;
}

TEST_F(Baseline, LogisticLossOverAMillionSteps) {
  const Json& run = baseline_["logistic_dim8"];
  const Json found = flow(pick(run["init"], {"V", "a", "beta"}), {"--step", "0.1", "--steps", "1e6"});
  expect_near(found["loss"], run["final"]["loss"], "loss");
  expect_near(found["a"], run["final"]["a"], "a");
  expect_near(found["V"], run["final"]["V"], "V");
  expect_near(found["u"], run["final"]["u=V^T beta"], "u");
  expect_near(found["sigma"], run["final"]["alpha"], "sigma");
  expect_near(found["entropy"], run["final"]["entropy_nats"], "entropy");
  EXPECT_EQ(found["winner"], run["final"]["alpha_argmax0"]);
}

TEST_F(Baseline, TiedModelOfTenTokens) {
  const Json& run = baseline_["tied_U"]["D10"];
  const Json found = flow({{"a", run["init"]["a"]}, {"beta", run["init"]["target_beta"]}},
                          {"--model", "tied", "--step", "0.05", "--steps", "1e4"});
  expect_near(found["loss"], run["final"]["loss_after_last_update"], "loss");
  expect_near(found["a"], run["final"]["a"], "a");
  const int winner = run["final"]["winner_m0"];
  EXPECT_EQ(found["winner"], winner);
  Json column = Json::array();
  for (const Json& row : found["U"]) column.push_back(row[winner]);
  expect_near(column, run["final"]["U_col_m"], "the winner's column of U");
}

TEST_F(Baseline, LeastSquaresWithConditionNumberThree) {
  const Json& run = baseline_["condition_numbers"]["kappa3"];
  Json init = pick(run["init"], {"a", "X", "beta"});
  init["V"] = run["init"]["W"];
  const Json found = flow(init, {"--loss", "least-squares", "--step", "1e-3", "--steps", "3e5"});
  expect_near(found["a"], run["final"]["a"], "a");
  expect_near(found["V"], run["final"]["W"], "V");
  expect_near(found["sigma"], run["final"]["alpha"], "sigma");
  EXPECT_LT(found["loss"].get<double>(), 1e-20) << "at rounding: the reference ends at 2e-21";
}

TEST_F(Baseline, KlLossWithOneRowOfVAToken) {
  const Json& run = baseline_["kl"];
  const Json found = flow(pick(run["init"], {"V", "a", "p_star"}), {"--loss", "kl", "--step", "0.1", "--steps", "1e6"});
  expect_near(found["loss"], run["final"]["loss_CE"], "loss");
  expect_near(found["a"], run["final"]["a"], "a");
  expect_near(found["V"], run["final"]["V"], "V");
  expect_near(found["sigma"], run["final"]["alpha"], "sigma");
}

TEST_F(Baseline, ComparedReweightingsUnderLogisticLoss) {
  const Json& run = baseline_["compare_logistic"];
  Json init = pick(run["init"], {"V", "a"});
  init["beta"] = run["target_beta"];
  for (const auto& [key, name] : {std::pair{"Softmax", "softmax"}, std::pair{"Sigmoid", "sigmoid"}}) {
    SCOPED_TRACE(name);
    const Json found = flow(init, {"--reweighting", name, "--step", "0.5", "--steps", "1e5"});
    const Json& expected = run[key]["final"];
    expect_near(found["loss"], expected["loss_after_last_update"], "loss");
    expect_near(found["a"], expected["a"], "a");
    expect_near(found["V"], expected["V"], "V");
    expect_near(found["sigma"], expected["alpha"], "sigma");
  }
}

}  // namespace
}  // namespace polariscope::testing
