// `polariscope bound`: a layer given as files.
#include "command.h"
#include "polariscope/base/safetensors.h"
#include "support/temporary_folder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <array>
#include <cmath>
#include <cstring>
#include <span>

namespace polariscope::testing {
namespace {

using Json = nlohmann::json;
using Words = std::vector<std::string>;
using Numbers = std::vector<double>;

std::string npy(const Numbers& values, const std::string& shape) {
  const std::string header = fmt::format("{{'descr': '<f8', 'fortran_order': False, 'shape': ({}), }}\n", shape);
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(header.size() & 0xFF);
  bytes += static_cast<char>(header.size() >> 8);
  bytes += header;
  std::string data(values.size() * sizeof(double), '\0');
  std::memcpy(data.data(), values.data(), data.size());
  return bytes + data;
}

// Three tokens of width two; W_Q = (1, 2)ᵀ, W_K = (1, -1)ᵀ.
class Bound : public ::testing::Test {
 protected:
  void SetUp() override {
    write("x.npy", npy({1, 0, 0, 1, -1, 0.5}, "3, 2"));
    write("wq.npy", npy({1, 2}, "2, 1"));
    write("wk.npy", npy({1, -1}, "2, 1"));
    write("turned.npy", npy({1, 2}, "1, 2"));
    write("flat.npy", npy({1, 2}, "2,"));
    write("broken.npy", npy({1, 2}, "2, 1").substr(0, 60));
    write("nan.npy", npy({1, std::nan("")}, "2, 1"));
    write("notes.txt", "not an array");
    const std::array<double, 2> query{1, 2}, key{1, -1};
    const std::array tensors{StoredTensor{"wq", Dtype::kF64, {1, 2}, std::as_bytes(std::span(query))},
                             StoredTensor{"wk", Dtype::kF64, {1, 2}, std::as_bytes(std::span(key))}};
    write_safetensors(folder_.path() / "layer.safetensors", tensors);
  }
  void write(const std::string& name, const std::string& bytes) const { write_bytes(folder_.path() / name, bytes); }

  Outcome run(const std::string& x, const std::string& query, const std::string& key, const Words& more = {}) const {
    Words words{"bound", "--tokens", x, "--query", query, "--key", key};
    words.insert(words.end(), more.begin(), more.end());
    Surroundings here;
    here.folder = folder_.path();
    return polariscope_run(words, here);
  }
  void expect_refusal(const std::string& x, const std::string& query, const std::string& key,
                      const Words& words) const {
    expect_refused_in(folder_.path(), {"bound", "--tokens", x, "--query", query, "--key", key}, words);
  }

  TemporaryFolder folder_;
};

TEST_F(Bound, PrintsBothSidesAndEveryTerm) {
  const Outcome outcome = run("x.npy", "wq.npy", "wk.npy");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  for (const char* part : {"3 tokens of width 2", "left side", "as printed", "provable", "‖P‖_F", "‖P‖₂", "entropy"}) {
    EXPECT_NE(outcome.out.find(part), std::string::npos) << part << " in\n" << outcome.out;
  }
  for (const std::string& line : lines_of(outcome.out)) EXPECT_LE(columns_of(line), 100) << line;
}

TEST_F(Bound, SaysTheSameInJson) {
  const Json bound = Json::parse(run("x.npy", "wq.npy", "wk.npy", {"--json"}).out);
  EXPECT_EQ(bound.at("tokens"), 3);
  EXPECT_LE(bound.at("left").get<double>(), bound.at("provable").get<double>());
  EXPECT_LE(bound.at("left").get<double>(), bound.at("printed").get<double>());
  EXPECT_NEAR(bound.at("frobenius_norm").get<double>() + bound.at("printed_second").get<double>(),
              bound.at("printed").get<double>(), 1e-12);
  EXPECT_NEAR(bound.at("largest_token").get<double>(), std::sqrt(1.25), 1e-12);
  EXPECT_LE(bound.at("entropy").get<double>(), std::log(3.0));
}

TEST_F(Bound, ReadsTheSameLayerFromSafetensorsAndTransposed) {
  const Json expected = Json::parse(run("x.npy", "wq.npy", "wk.npy", {"--json"}).out);
  const Outcome outcome = run("x.npy", "layer.safetensors:wq", "layer.safetensors:wk", {"--transposed", "--json"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(Json::parse(outcome.out), expected);
}

TEST_F(Bound, TakesTheScaleOfTheScores) {
  // Without scores attention is uniform: both right sides are 1, and so is the left side of an averaging.
  const Json bound = Json::parse(run("x.npy", "wq.npy", "wk.npy", {"--json", "--scale", "0"}).out);
  EXPECT_NEAR(bound.at("left").get<double>(), 1.0, 1e-12);
  EXPECT_NEAR(bound.at("printed").get<double>(), 1.0, 1e-12);
  EXPECT_NEAR(bound.at("entropy").get<double>(), std::log(3.0), 1e-12);
}

TEST_F(Bound, RefusesWhatIsNoLayerInOneSentence) {
  expect_refusal("absent.npy", "wq.npy", "wk.npy", {"absent.npy"});
  expect_refusal("notes.txt", "wq.npy", "wk.npy", {"notes.txt", "numpy.save"});
  expect_refusal("x.npy", "broken.npy", "wk.npy", {"broken.npy", "header"});
  expect_refusal("x.npy", "flat.npy", "wk.npy", {"flat.npy", "[2]", "matrix"});
  expect_refusal("x.npy", "turned.npy", "wk.npy", {"--query turned.npy", "[1, 2]", "--transposed"});
  expect_refusal("x.npy", "wq.npy", "turned.npy", {"--key turned.npy", "[2, 1]"});
  expect_refusal("x.npy", "nan.npy", "wk.npy", {"W_Q", "not finite"});
  expect_refusal("x.npy", "layer.safetensors", "wk.npy", {"layer.safetensors:NAME"});
  expect_refusal("x.npy", "layer.safetensors:wqq", "wk.npy", {"unknown tensor \"wqq\"", "\"wq\""});
  expect_refusal("x.npy", "", "wk.npy", {"--query", "empty"});
  expect_refused_in(folder_.path(), {"bound", "--tokens", "x.npy"}, {"bound needs --query"});
  expect_refused_in(folder_.path(),
                    {"bound", "--tokens", "x.npy", "--query", "wq.npy", "--key", "wk.npy", "--scale", "nan"},
                    {"scale", "finite"});
}

}  // namespace
}  // namespace polariscope::testing
