// `polariscope flow --json`: what machines are promised.
#include "command.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace polariscope::testing {
namespace {

using Json = nlohmann::json;
using Words = std::vector<std::string>;

constexpr int kOutputs = 3;
constexpr int kTokens = 4;
constexpr int kRows = 2;

// One JSON object on one line, and no other word.
Json flow_json(Words options) {
  options.insert(options.begin(), "flow");
  options.push_back("--json");
  const Outcome outcome = polariscope_run(options);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(lines_of(outcome.out).size(), 1U) << outcome.out;
  Json object = Json::parse(outcome.out, nullptr, false);
  EXPECT_TRUE(object.is_object()) << outcome.out;
  return object;
}

void expect_numbers(const Json& list, int size, const std::string& key) {
  ASSERT_TRUE(list.is_array()) << key;
  ASSERT_EQ(list.size(), static_cast<std::size_t>(size)) << key;
  for (const Json& entry : list) EXPECT_TRUE(entry.is_number() && std::isfinite(entry.get<double>())) << key << list;
}

int position_of_largest(const Json& list) {
  const auto values = list.get<std::vector<double>>();
  return static_cast<int>(std::max_element(values.begin(), values.end()) - values.begin());
}

// A list, or one a row of scores: every key of the promise, with its shape.
void expect_promised_keys(const Json& object, const std::string& model, bool flow) {
  const bool many = model == "rows";
  const int d = model == "tied" ? kTokens : kOutputs;
  EXPECT_TRUE(object.at("loss").is_number()) << object["loss"];
  expect_numbers(object.at("u"), kTokens, "u");
  for (const char* key : {"a", "sigma"}) {
    if (!many) {
      expect_numbers(object.at(key), kTokens, key);
      continue;
    }
    ASSERT_EQ(object.at(key).size(), static_cast<std::size_t>(kRows)) << key;
    for (const Json& row : object[key]) expect_numbers(row, kTokens, key);
  }
  for (int r = 0; r < (many ? kRows : 1); ++r) {
    const Json& sigma = many ? object["sigma"][r] : object["sigma"];
    const Json& winner = many ? object.at("winner")[r] : object.at("winner");
    EXPECT_TRUE(winner.is_number_integer());
    EXPECT_EQ(winner, position_of_largest(sigma)) << "counted from 0";
    const Json& entropy = many ? object.at("entropy")[r] : object.at("entropy");
    const bool is_signed = std::any_of(sigma.begin(), sigma.end(), [](const Json& s) { return s < 0.0; });
    EXPECT_EQ(entropy.is_null(), is_signed) << "the entropy of signed weights is not defined";
  }
  EXPECT_EQ(object.contains("steps"), !flow);
  EXPECT_EQ(object.contains("t"), flow);
  EXPECT_EQ(object.contains("U"), model == "tied");
  EXPECT_EQ(object.contains("V"), model != "tied" && model != "reduced");
  if (object.contains("V") || object.contains("U")) {
    const Json& matrix = object.contains("V") ? object["V"] : object["U"];
    const bool token_rows = object["loss_name"] == "kl" && model != "tied";
    ASSERT_EQ(matrix.size(), static_cast<std::size_t>(token_rows ? kTokens : d));
    for (const Json& row : matrix) expect_numbers(row, token_rows ? d : kTokens, "V or U");
  }
  ASSERT_FALSE(object.at("checks").empty());
  for (const Json& check : object["checks"]) {
    for (const char* key : {"id", "statement", "applies", "holds", "margin"}) EXPECT_TRUE(check.contains(key)) << key;
    EXPECT_EQ(check["holds"].is_null(), check["applies"] == false) << check;
  }
}

Words options_for(const std::string& model, const std::string& loss) {
  Words options{"--model", model, "--loss", loss, "--tokens", "4", "--dim", model == "tied" ? "4" : "3"};
  if (model == "rows") options.insert(options.end(), {"--rows", "2"});
  return options;
}

TEST(FlowJson, HoldsItsPromisedKeysForEveryModelAndLoss) {
  int accepted = 0;
  for (const std::string model : {"value-softmax", "reduced", "rows", "tied", "linear"}) {
    for (const std::string loss : {"logistic", "square", "least-squares", "kl"}) {
      if (model == "reduced" && (loss == "least-squares" || loss == "kl")) continue;  // refused: see BadInput
      for (const std::string method : {"gd", "flow"}) {
        SCOPED_TRACE(model + " " + loss + " " + method);
        Words options = options_for(model, loss);
        options.insert(options.end(), {"--method", method});
        if (method == "gd") options.insert(options.end(), {"--steps", "50", "--step", "0.01"});
        if (method == "flow") options.insert(options.end(), {"--until", "5"});
        const Json object = flow_json(options);
        expect_promised_keys(object, model, method == "flow");
        EXPECT_EQ(object["model"], model);
        EXPECT_EQ(object["loss_name"], loss);
        if (method == "gd") {
          EXPECT_EQ(object["steps"], 50);
        } else {
          EXPECT_EQ(object["t"], 5.0);
        }
        ++accepted;
      }
    }
  }
  EXPECT_EQ(accepted, 36);
}

TEST(FlowJson, HoldsItsPromisedKeysForEveryReweighting) {
  for (const std::string name :
       {"softmax", "sigmoid", "sigmoid/sum", "relu", "relu/sum", "elu1", "elu1/sum", "identity", "identity/sum",
        "abs/sum", "square/sum", "uniform", "identity/max1", "softmax1"}) {
    SCOPED_TRACE(name);
    Words options = options_for("value-softmax", "logistic");
    options.insert(options.end(), {"--reweighting", name, "--steps", "50"});
    const Json object = flow_json(options);
    expect_promised_keys(object, "value-softmax", false);
    EXPECT_EQ(object["reweighting"], name);
  }
}

TEST(FlowJson, GivesTheLinearModelItsOneReweighting) {
  EXPECT_EQ(flow_json({"--model", "linear", "--steps", "10"})["reweighting"], "identity");
}

TEST(FlowJson, WritesNumbersThatAreNotFiniteAsNull) {
  const Json object = flow_json({"--model", "linear", "--loss", "square", "--step", "1e6", "--steps", "1000"});
  EXPECT_EQ(object["ending"], "diverged");
  EXPECT_TRUE(object.contains("loss"));
}

// |z| draws a score to its kink at zero from both sides: no integrator comes past it.
TEST(FlowJson, SaysWhereAFlowIsStuck) {
  Words options{"--method", "flow", "--reweighting", "abs/sum", "--dim", "3", "--until", "100"};
  const Json one = flow_json(options);
  EXPECT_EQ(one["ending"], "stuck");
  EXPECT_NEAR(one["t"].get<double>(), 51.453, 1e-3);
  options.insert(options.begin(), "flow");
  const std::string words = polariscope_run(options).out;
  EXPECT_NE(words.find("stuck: the integrator's steps shrink to nothing at t = 51.453"), std::string::npos) << words;
  const Json many = flow_json(
      {"--method", "flow", "--reweighting", "abs/sum", "--dim", "3", "--until", "100", "--trajectories", "5"});
  EXPECT_GT(many["stuck"], 0);
  EXPECT_EQ(many["diverged"], 0);
}

TEST(FlowJson, IsTheSameForTheSameSeedAndAnotherForAnother) {
  const Words options{"--steps", "100", "--seed", "3"};
  EXPECT_EQ(flow_json(options), flow_json(options));
  EXPECT_NE(flow_json(options)["u"], flow_json({"--steps", "100", "--seed", "4"})["u"]);
}

TEST(FlowJson, TakesWholeNumbersAsPeopleTypeThem) {
  EXPECT_EQ(flow_json({"--steps", "1e3"}), flow_json({"--steps", "1000"}));
  EXPECT_EQ(flow_json({"--until", "100", "--step", "0.1"}), flow_json({"--steps", "1000"}));
}

TEST(FlowJson, SummarisesAnEnsemble) {
  const Json object = flow_json({"--trajectories", "20", "--steps", "100"});
  EXPECT_EQ(object["trajectories"], 20);
  for (const char* key : {"loss", "largest_weight", "abs_entropy"}) {
    EXPECT_LE(object.at(key)["low"], object[key]["median"]) << key;
    EXPECT_LE(object[key]["median"], object[key]["high"]) << key;
  }
  for (const Json& check : object.at("checks")) EXPECT_LE(check["violations"], check["applied"]) << check;
}

TEST(FlowJson, TakesTheMeanOfTheMiddleTwoOfAnEvenEnsembleAsItsMedian) {
  const Json object = flow_json({"--trajectories", "2", "--steps", "100"});
  for (const char* key : {"loss", "largest_weight", "abs_entropy"}) {
    const double low = object.at(key)["low"], high = object[key]["high"];
    EXPECT_LT(low, high) << key;
    EXPECT_DOUBLE_EQ(object[key]["median"].get<double>(), 0.5 * (low + high)) << key;
  }
}

}  // namespace
}  // namespace polariscope::testing
