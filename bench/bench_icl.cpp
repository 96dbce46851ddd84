// ./dev bench icl: steps of training in-context regression beside eager PyTorch. How to read it: docs/benchmarks.md.
#include "bench/child.h"
#include "bench/measure.h"
#include "bench/runner.h"
#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/train/regression_trainer.h"

#include <fmt/format.h>

#include <cmath>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::bench {
namespace {

constexpr double kTarget = 12.0;
constexpr int kSteps = 20, kPeerSteps = 3;  // of one measurement
constexpr int kCompared = 3;                // first steps whose losses must agree

std::string_view bytes_of(const std::vector<float>& numbers) {
  return {reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(float)};
}

// The model at its start and the batches of its first steps, as the peer reads them.
void write_inputs(const train::RegressionOptions& o, const std::filesystem::path& folder) {
  const models::AttentionOnly<float> model(train::model_of(o));
  nlohmann::json names = nlohmann::json::array();
  for (const models::ParameterPlace& place : model.parameters()) names.push_back({place.name, place.shape});
  const tasks::InContextRegression task({.tokens = static_cast<int>(o.tokens)}, o.seed, tasks::Split::kTraining);
  const auto size = static_cast<std::size_t>(o.tokens * models::kTokenWidth);
  std::string batches;
  for (std::int64_t i = 0; i < kCompared * o.batch; ++i) {
    std::vector<float> tokens(size), answer(1);
    task.fill(i, 1, tokens, answer);
    batches += bytes_of(tokens);
    batches += bytes_of(answer);
  }
  const nlohmann::json described{{"attention", o.attention}, {"norm", o.qk_norm},  {"layers", o.layers},
                                 {"batch", o.batch},         {"tokens", o.tokens}, {"learning_rate", o.learning_rate},
                                 {"momentum", o.momentum},   {"parameters", names}};
  write_file(folder / "model.json", described.dump());
  write_file(folder / "parameters", bytes_of(model.initial_values(o.seed)));
  write_file(folder / "batches", batches);
}

// bench/peers/regression.py; throws Error unless its first losses are ours.
class RegressionPeer {
 public:
  explicit RegressionPeer(const train::RegressionOptions& options)
      : process_("regression", {inputs(options)}, 1, true) {
    const nlohmann::json ready = process_.hear();
    torch_ = ready.at("torch").get<std::string>();
    train::RegressionTrainer ours(options);
    for (const auto& theirs : ready.at("losses")) {
      const double loss = ours.advance().loss;
      if (!(std::abs(loss - theirs.get<double>()) <= 1e-4 * std::max(1.0, loss))) {
        throw Error("after {} steps our loss is {} and PyTorch's {}: expected the same to 1e-4", ours.step() - 1, loss,
                    theirs.get<double>());
      }
    }
  }
  double seconds() { return process_.ask(fmt::format("{}", kPeerSteps)).at("seconds").get<double>(); }
  const std::string& torch() const { return torch_; }

 private:
  std::string inputs(const train::RegressionOptions& options) const {
    write_inputs(options, folder_.path());
    return folder_.path().string();
  }
  TemporaryFolder folder_;
  LivingPeer process_;
  std::string torch_;
};

// The rate is small so that nothing diverges while it is timed: softmax of its own accord would.
std::vector<Row> run_case(const char* name, const char* attention, const char* norm, double target,
                          const Settings& settings) {
  const train::RegressionOptions options{
      .attention = attention, .qk_norm = norm, .steps = 1'000'000, .learning_rate = 0.01};
  RegressionPeer peer(options);
  train::RegressionTrainer trainer(options);
  const auto ours = [&] {
    return processor_seconds_of([&] {
             for (int i = 0; i < kSteps; ++i) trainer.advance();
           }) /
           kSteps;
  };
  const Pairs pairs = interleave(settings.repeats, ours, [&] { return peer.seconds(); });
  const Summary ratio = summary(pairs.ratios());
  Row row{.name = name,
          .ours = seconds_text(summary(pairs.ours)),
          .peer = seconds_text(summary(pairs.peer)),
          .ratio = fmt::format("{:.3g} × ({})", ratio.median, spread_text(ratio)),
          .target = "",
          .note = fmt::format("{:.0f} steps a second, beside PyTorch {}'s {:.1f}", 1.0 / summary(pairs.ours).median,
                              peer.torch(), 1.0 / summary(pairs.peer).median),
          .numbers = {{"ours_seconds", to_json(summary(pairs.ours))},
                      {"other_seconds", to_json(summary(pairs.peer))},
                      {"ratio", to_json(ratio)}}};
  if (target > 0.0) {
    row.target = fmt::format("≥ {:g} ×", target);
    row.verdict = verdict(ratio.median >= target);
  }
  return {row};
}

std::vector<Row> run_softmax(const Settings& s) { return run_case("softmax", "softmax", "no", kTarget, s); }
std::vector<Row> run_qk_norm(const Settings& s) { return run_case("qk-layer-norm", "softmax", "layer", 0.0, s); }
std::vector<Row> run_relu(const Settings& s) { return run_case("relu", "relu_kernel/sum", "no", 0.0, s); }
std::vector<Row> run_elu1(const Settings& s) { return run_case("elu1", "elu1_kernel/sum", "no", 0.0, s); }

const std::vector<Case>& cases() {
  static const std::vector<Case> kCases{
      {"softmax", "the paper's model, residual layers", true, run_softmax},
      {"qk-layer-norm", "the same with LayerNorm on queries and keys", true, run_qk_norm},
      {"relu", "ReLU kernel", true, run_relu},
      {"elu1", "ELU + 1 kernel", true, run_elu1},
  };
  return kCases;
}

}  // namespace
}  // namespace polariscope::bench

int main(int argc, char** argv) {
  using namespace polariscope::bench;
  const Benchmark icl{.name = "icl",
                      .title = "Steps of training in-context regression, with the statistics of every layer.",
                      .reading =
                          "batch 4000, 5 layers, single precision; processor time of one thread; a step draws its "
                          "batch, goes forward and back and moves the parameters; PyTorch's measures nothing",
                      .examples =
                          "Examples:\n"
                          "  ./dev bench icl\n"
                          "  ./dev bench icl --case softmax --repeats 21\n"
                          "  ./dev bench icl --accept",
                      .cases = cases(),
                      .obstacle = [] { return peer_obstacle("torch"); }};
  return run_benchmark(icl, argc, argv);
}
