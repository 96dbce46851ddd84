// ./dev bench train: steps of training beside their own matrix products and beside eager PyTorch. How to read it:
// docs/benchmarks.md.
#include "bench/child.h"
#include "bench/measure.h"
#include "bench/runner.h"
#include "bench/train_products.h"
#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/memory.h"
#include "polariscope/train/process.h"
#include "polariscope/train/trainer.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace polariscope::bench {
namespace {

constexpr double kProductsTarget = 1.35, kPeerTarget = 1.8, kPackedTarget = 1.9;
constexpr int kSteps = 10;    // of one measurement
constexpr int kBatches = 16;  // that the peer goes round

// Induction at the paper's size; the shifted query token doubles the vocabulary.
train::TrainingOptions training() { return {.shift_query_token = true, .epochs = 1000}; }

double step_seconds(train::Trainer& trainer) {
  return processor_seconds_of([&] {
           for (int i = 0; i < kSteps; ++i) trainer.advance();
         }) /
         kSteps;
}

std::vector<std::int64_t> first_examples(const train::TrainingOptions& o, int batch) {
  const std::vector<std::int64_t> order = train::shuffled(o.training_sequences, o.seed, 0);
  return {order.begin() + batch * o.batch, order.begin() + (batch + 1) * o.batch};
}

std::string_view bytes_of(const at::Tensor& tensor) {
  return {static_cast<const char*>(tensor.data_ptr()), static_cast<std::size_t>(tensor.nbytes())};
}

// The model at its start and the batches of its first steps, as the peer reads them.
void write_inputs(const train::Trainer& trainer, const std::filesystem::path& folder) {
  const train::TrainingOptions& o = trainer.options();
  const models::ModelShape& model = trainer.model().shape();
  std::string numbers, tokens;
  nlohmann::json names = nlohmann::json::array();
  for (const auto& [name, values] : trainer.model().parameters().named_values()) {
    names.push_back({name, values.sizes().vec()});
    numbers += bytes_of(values.contiguous());
  }
  std::int64_t length = 0;
  for (int b = 0; b < kBatches; ++b) {
    const train::Batch batch = trainer.task().batch(tasks::Split::kTraining, first_examples(o, b));
    length = batch.tokens.size(1);
    tokens += bytes_of(batch.tokens);
    tokens += bytes_of(batch.targets);
  }
  const nlohmann::json sizes{{"layers", model.layers},
                             {"heads", model.heads},
                             {"width", model.width},
                             {"vocabulary", model.vocabulary},
                             {"longest", model.longest}};
  const nlohmann::json described{
      {"sizes", sizes}, {"parameters", names}, {"batch", o.batch}, {"length", length}, {"auxiliary", o.auxiliary_loss}};
  write_file(folder / "model.json", described.dump());
  write_file(folder / "parameters", numbers);
  write_file(folder / "tokens", tokens);
}

// bench/peers/transformer.py; throws Error unless its first losses are ours.
class TransformerPeer {
 public:
  TransformerPeer() : process_("transformer", {inputs()}, 1, true) {
    const nlohmann::json ready = process_.hear();
    torch_ = ready.at("torch").get<std::string>();
    train::Trainer ours(training());
    for (const auto& theirs : ready.at("losses")) {
      const double loss = ours.advance().loss;
      if (!(std::abs(loss - theirs.get<double>()) <= 1e-4)) {
        throw Error("after {} steps our loss is {} and PyTorch's {}: expected the same to 1e-4", ours.step() - 1, loss,
                    theirs.get<double>());
      }
    }
  }
  double seconds() { return process_.ask(fmt::format("{}", kSteps)).at("seconds").get<double>(); }
  const std::string& torch() const { return torch_; }

 private:
  std::string inputs() const {
    write_inputs(train::Trainer(training()), folder_.path());
    return folder_.path().string();
  }
  TemporaryFolder folder_;
  LivingPeer process_;
  std::string torch_;
};

Row row_named(const char* name) {
  return {
      .name = name, .ours = "", .peer = "", .ratio = "", .target = "", .note = "", .numbers = nlohmann::json::object()};
}

// `times`: how many times the other's time ours is, or ours the other's.
Row row_of(const char* name, const std::vector<double>& ours, const std::vector<double>& other,
           const std::vector<double>& times, double target, bool at_most) {
  Row row = row_named(name);
  const Summary ratio = summary(times);
  row.ours = seconds_text(summary(ours));
  row.peer = seconds_text(summary(other));
  row.ratio = fmt::format("{:.3g} × ({})", ratio.median, spread_text(ratio));
  if (target > 0.0) {
    row.target = fmt::format("{} {:g} ×", at_most ? "≤" : "≥", target);
    row.verdict = verdict(at_most ? ratio.median <= target : ratio.median >= target);
  }
  row.numbers = {{"ours_seconds", to_json(summary(ours))},
                 {"other_seconds", to_json(summary(other))},
                 {at_most ? "over_products" : "ratio", to_json(ratio)}};
  return row;
}

std::vector<Row> run_products(const Settings& settings) {
  train::Trainer trainer(training());
  const std::int64_t rows = trainer.options().batch * (trainer.options().sequence_length - 1);
  const TrainProducts products(trainer.model().shape(), trainer.options().mlp, rows);
  const auto time = [](const auto& work) {
    return processor_seconds_of([&] {
             for (int i = 0; i < kSteps; ++i) work();
           }) /
           kSteps;
  };
  step_seconds(trainer);
  products.by_our_library();
  products.by_aten();
  std::vector<double> steps, ours, atens;
  for (int i = 0; i < settings.repeats; ++i) {
    steps.push_back(step_seconds(trainer));
    ours.push_back(time([&] { products.by_our_library(); }));
    atens.push_back(time([&] { products.by_aten(); }));
  }
  Row first = row_of("products", steps, ours, ratios_of(ours, steps), kProductsTarget, true);
  first.note = fmt::format("the products are {:.2f} GFLOP by oneDNN, {:.0f} GFLOP/s", 1e-9 * products.operations(),
                           1e-9 * products.operations() / summary(ours).median);
  Row second = row_of("products, OpenBLAS", steps, atens, ratios_of(atens, steps), 0.0, true);
  second.note = "the same products by ATen's mm";
  return {first, second};
}

std::vector<Row> run_peer(const Settings& settings) {
  TransformerPeer peer;
  train::Trainer trainer(training());
  const Pairs pairs = interleave(
      settings.repeats, [&] { return step_seconds(trainer); }, [&] { return peer.seconds(); });
  Row row = row_of("pytorch", pairs.ours, pairs.peer, pairs.ratios(), kPeerTarget, false);
  row.note = fmt::format("PyTorch {}; ours draws its batches and records every head's statistics", peer.torch());
  return {row};
}

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// `bench_train steps START SECONDS`: prints what processor time a step takes from START on, a time of now(), for so
// many seconds.
int print_step_seconds(double start, double seconds) {
  train::Trainer trainer(training());
  step_seconds(trainer);
  std::this_thread::sleep_for(std::chrono::duration<double>(start - now()));
  std::vector<double> steps;
  while (steps.empty() || now() < start + seconds) steps.push_back(step_seconds(trainer));
  fmt::print("{}\n", summary(steps).median);
  return 0;
}

// Processes at once, each on its own; the seconds of a step of each.
std::vector<double> at_once(int processes) {
  constexpr double kUntilAllAreReady = 2.0, kSeconds = 2.0;
  const std::string start = fmt::format("{}", now() + kUntilAllAreReady);
  const std::string program = std::filesystem::read_symlink("/proc/self/exe");
  std::vector<std::future<double>> running;
  for (int i = 0; i < processes; ++i) {
    running.push_back(std::async(std::launch::async, [&] {
      return std::stod(run_child({program, "steps", start, fmt::format("{}", kSeconds)}));
    }));
  }
  std::vector<double> seconds;
  for (std::future<double>& one : running) seconds.push_back(one.get());
  return seconds;
}

std::vector<Row> run_packed(const Settings& settings) {
  std::vector<double> alone, together, times;
  for (int i = 0; i < settings.repeats; ++i) {
    const double one = at_once(1)[0];
    const std::vector<double> two = at_once(2);
    alone.push_back(one);
    together.push_back(0.5 * (two[0] + two[1]));
    times.push_back(one / two[0] + one / two[1]);
  }
  Row row = row_of("packed", together, alone, times, kPackedTarget, false);
  row.note = "a step in two processes at once against one alone; the ratio is of steps a second of both";
  return {row};
}

const std::vector<Case>& cases() {
  static const std::vector<Case> kCases{
      {"products", "a training step beside the matrix products in it", false, run_products},
      {"pytorch", "a training step beside eager PyTorch's", true, run_peer},
      {"packed", "two trainings at once beside one", false, run_packed},
  };
  return kCases;
}

}  // namespace
}  // namespace polariscope::bench

int main(int argc, char** argv) {
  using namespace polariscope::bench;
  polariscope::keep_freed_memory();
  polariscope::train::use_threads(1);
  if (argc == 4 && std::string_view(argv[1]) == "steps")
    return print_step_seconds(std::stod(argv[2]), std::stod(argv[3]));
  const Benchmark train{.name = "train",
                        .title = "Steps of training a transformer, with the statistics of every head.",
                        .reading = "single precision; processor time of one thread",
                        .examples =
                            "Examples:\n"
                            "  ./dev bench train\n"
                            "  ./dev bench train --case products --repeats 21\n"
                            "  ./dev bench train --accept",
                        .cases = cases(),
                        .obstacle = [] { return peer_obstacle("torch"); }};
  return run_benchmark(train, argc, argv);
}
