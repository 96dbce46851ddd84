// ./dev bench lm: steps of training language models beside PyTorch's. How to read it: docs/benchmarks.md.
#include "bench/child.h"
#include "bench/measure.h"
#include "bench/python.h"
#include "bench/runner.h"
#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/memory.h"
#include "polariscope/base/random.h"
#include "polariscope/models/language/language_model.h"
#include "polariscope/models/language/presets.h"
#include "polariscope/train/monitor.h"
#include "polariscope/train/optimiser.h"
#include "polariscope/train/process.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::bench {
namespace {

namespace language = models::language;

constexpr std::int64_t kTokens = 4096;  // of a step
constexpr double kMostApart = 2e-3;     // first losses, ours and the peer's: the same model from the same start

struct Shape {
  const char* preset;
  std::int64_t context;
};

language::LanguageModelOptions model_of(const Shape& shape, models::ProductPrecision precision) {
  const auto config = language::config_of(language::find_preset(shape.preset), 0, shape.context);
  return {.blueprint = language::blueprint_of(config, shape.preset), .precision = precision};
}

std::string_view bytes_of(const at::Tensor& tensor) {
  return {static_cast<const char*>(tensor.data_ptr()), static_cast<std::size_t>(tensor.nbytes())};
}

// Numbers of no text: what a step costs does not depend on them.
at::Tensor drawn_tokens(std::int64_t sequences, std::int64_t length, std::int64_t vocabulary) {
  RandomStream random(1, 1);
  at::Tensor tokens = at::empty({sequences, length}, at::kLong);
  auto* to = tokens.data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < tokens.numel(); ++i) {
    to[i] = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(vocabulary)));
  }
  return tokens;
}

// Our side: what train/language_training.cpp does of a step, without reading text.
class Ours {
 public:
  Ours(const Shape& shape, models::ProductPrecision precision, bool statistics)
      : model_(model_of(shape, precision), at::kFloat, 0),
        optimiser_({.learning_rate = 1e-3, .beta_2 = 0.95, .weight_decay = 0.1}, model_.parameters().values(),
                   language::decayed(model_.parameters())),
        tokens_(drawn_tokens(kTokens / shape.context, shape.context + 1, model_.shape().vocabulary)),
        inputs_(tokens_.narrow(1, 0, shape.context).contiguous()),
        targets_(tokens_.narrow(1, 1, shape.context).contiguous()),
        statistics_(statistics) {}

  double step() {
    records_.clear();
    const models::LayerObserver observer{
        .statistics = train::monitored_statistics(),
        .see = [&](const models::LayerAttention& layer) { records_.push_back(train::layer_record(layer.statistics)); }};
    const language::HeadLoss loss =
        model_.loss(inputs_, targets_, 0.0, statistics_ ? observer : models::LayerObserver{});
    model_.parameters().clear_gradients();
    loss.loss.backward();
    at::Tensor gradients = model_.parameters().gradients();
    const double norm = train::gradient_norm(gradients);
    if (norm > 1.0) gradients.mul_(1.0 / norm);
    optimiser_.step(model_.parameters().values(), gradients);
    return loss.cross_entropy;
  }

  void write(const Shape& shape, const std::filesystem::path& folder) const {
    std::string numbers;
    nlohmann::json names = nlohmann::json::array();
    for (const auto& [name, values] : model_.parameters().named_values()) {
      names.push_back({name, values.sizes().vec()});
      numbers += bytes_of(values.contiguous());
    }
    const language::Preset& preset = language::find_preset(shape.preset);
    const nlohmann::json sizes{{"layers", preset.layers},        {"heads", preset.heads}, {"width", preset.width},
                               {"units", preset.units},          {"tied", preset.tied},   {"context", shape.context},
                               {"vocabulary", preset.vocabulary}};
    write_file(folder / "model.json", nlohmann::json{{"sizes", sizes}, {"parameters", names}}.dump());
    write_file(folder / "parameters", numbers);
    write_file(folder / "tokens", bytes_of(tokens_));
  }

 private:
  language::LanguageModel model_;
  train::AdamW optimiser_;
  at::Tensor tokens_, inputs_, targets_;
  bool statistics_;
  std::vector<train::LayerRecord> records_;
};

// bench/peers/language.py; throws Error unless its first losses are ours.
class Peer {
 public:
  Peer(const Shape& shape, const std::string& mode, int threads)
      : process_("language", {inputs(shape), "--mode", mode, "--threads", fmt::format("{}", threads)}, threads, true,
                 newest_python()) {
    const nlohmann::json ready = process_.hear();
    torch_ = ready.at("torch").get<std::string>();
    const bool rounded = mode == "bfloat16";
    Ours ours(shape, rounded ? models::ProductPrecision::kBfloat16 : models::ProductPrecision::kFloat32, false);
    for (const auto& theirs : ready.at("losses")) {
      const double loss = ours.step(), most = rounded ? 2e-2 : kMostApart;
      if (!(std::abs(loss - theirs.get<double>()) <= most)) {
        throw Error("our loss is {} and PyTorch's {}: expected the same to {}", loss, theirs.get<double>(), most);
      }
    }
  }
  double seconds() { return process_.ask("1").at("seconds").get<double>(); }
  const std::string& torch() const { return torch_; }

 private:
  std::string inputs(const Shape& shape) const {
    Ours(shape, models::ProductPrecision::kFloat32, false).write(shape, folder_.path());
    return folder_.path().string();
  }
  TemporaryFolder folder_;
  LivingPeer process_;
  std::string torch_;
};

struct Beside {
  const char* mode;
  models::ProductPrecision precision;
  bool statistics;
  double target_512, target_2048;  // 0: none
};

std::string tokens_a_second(double seconds) { return fmt::format("{:.0f} tok/s", kTokens / seconds); }

Row run_beside(const Shape& shape, const Beside& beside, const Settings& settings) {
  Row row = row_named(fmt::format("{}/{} {}", shape.preset, shape.context, beside.mode));
  Peer peer(shape, beside.mode, settings.threads);
  Ours ours(shape, beside.precision, beside.statistics);
  const Pairs pairs = interleave(
      settings.repeats, [&] { return seconds_of([&] { ours.step(); }); }, [&] { return peer.seconds(); });
  const Summary mine = summary(pairs.ours), theirs = summary(pairs.peer), ratio = summary(pairs.ratios());
  row.ours = tokens_a_second(mine.median);
  row.peer = tokens_a_second(theirs.median);
  row.ratio = fmt::format("{:.3g} × ({})", ratio.median, spread_text(ratio));
  if (const double target = shape.context == 512 ? beside.target_512 : beside.target_2048; target > 0.0) {
    row.target = fmt::format("≥ {:g} ×", target);
    row.verdict = verdict(ratio.median >= target);
  }
  row.note = fmt::format("PyTorch {}", peer.torch());
  row.numbers = {{"ours_seconds", to_json(mine)}, {"peer_seconds", to_json(theirs)}, {"ratio", to_json(ratio)}};
  return row;
}

// Of ours: how much faster one way is than the other.
Row run_own(const Shape& shape, std::string name, Ours& quick, Ours& slow, const std::string& target, double least,
            bool price, const Settings& settings) {
  Row row = row_named(fmt::format("{}/{} {}", shape.preset, shape.context, std::move(name)));
  const Pairs pairs = interleave(
      settings.repeats, [&] { return seconds_of([&] { quick.step(); }); },
      [&] { return seconds_of([&] { slow.step(); }); });
  const Summary ratio = summary(pairs.ratios());
  row.ours = tokens_a_second(summary(pairs.ours).median);
  row.peer = tokens_a_second(summary(pairs.peer).median);
  row.ratio = fmt::format("{:.3g} × ({})", ratio.median, spread_text(ratio));
  row.target = target;
  row.verdict = verdict(price ? ratio.median <= least : ratio.median >= least);
  row.numbers = {{"ratio", to_json(ratio)}};
  return row;
}

constexpr auto kFloat32 = models::ProductPrecision::kFloat32, kBfloat16 = models::ProductPrecision::kBfloat16;

std::vector<Row> run_shape(const Shape& shape, const Settings& settings) {
  std::vector<Row> rows{
      run_beside(shape, {"eager", kFloat32, true, 2.2, 4.0}, settings),
      run_beside(shape, {"sdpa", kFloat32, true, 1.3, 1.5}, settings),
      run_beside(shape, {"compiled", kFloat32, true, 0.0, 0.0}, settings),
  };
  Ours with(shape, kFloat32, true), without(shape, kFloat32, false);
  rows.push_back(run_own(shape, "statistics", without, with, "≤ 1.03 ×", 1.03, true, settings));
  if (models::has_bfloat16_products()) {
    rows.push_back(run_beside(shape, {"bfloat16", kBfloat16, true, 1.2, 1.2}, settings));
    Ours rounded(shape, kBfloat16, true);
    rows.push_back(run_own(shape, "bfloat16 over float32", rounded, with, "≥ 1.8 ×", 1.8, false, settings));
  } else {
    rows.push_back(skipped_row("bfloat16", "this processor has no products of bfloat16"));
  }
  return rows;
}

const std::vector<Case>& cases() {
  static const std::vector<Case> kCases{
      {"llama-3m/512", "3 M parameters, 8 sequences of 512 bytes", true,
       [](const Settings& s) {
         return run_shape({"llama-3m", 512}, s);
       }},
      {"llama-3m/2048", "2 sequences of 2048", true,
       [](const Settings& s) {
         return run_shape({"llama-3m", 2048}, s);
       }},
      {"llama-15m/512", "15 M parameters, 32,000 tokens, 8 sequences of 512", true,
       [](const Settings& s) {
         return run_shape({"llama-15m", 512}, s);
       }},
      {"llama-15m/2048", "2 sequences of 2048", true,
       [](const Settings& s) {
         return run_shape({"llama-15m", 2048}, s);
       }},
  };
  return kCases;
}

std::string obstacle() {
  const std::string python = newest_python();
  return std::filesystem::exists(python) ? "" : python + " is absent: ./dev bench lm makes it";
}

}  // namespace
}  // namespace polariscope::bench

int main(int argc, char** argv) {
  using namespace polariscope::bench;
  polariscope::keep_freed_memory();
  const Benchmark lm{.name = "lm",
                     .title = "Steps of training language models, with the statistics of every head.",
                     .reading = "forward, backward, clipping and AdamW over 4096 tokens; wall time",
                     .examples =
                         "Examples:\n"
                         "  ./dev bench lm\n"
                         "  ./dev bench lm --case llama-15m/512 --threads 2\n"
                         "  ./dev bench lm --accept",
                     .cases = cases(),
                     .obstacle = obstacle,
                     .threaded = true,
                     .threads = 1,
                     .repeats = 5};
  return run_benchmark(lm, argc, argv);
}
