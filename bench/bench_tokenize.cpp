// ./dev bench tokenize: texts to token shards beside Hugging Face's tokenizers. How to read it: docs/benchmarks.md.
#include "bench/child.h"
#include "bench/measure.h"
#include "bench/python.h"
#include "bench/runner.h"
#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/tasks/text/tokenize.h"
#include "support/outside_data.h"

#include <fmt/format.h>

#include <string>
#include <vector>

namespace polariscope::bench {
namespace {

namespace fs = std::filesystem;
namespace text = tasks::text;

constexpr double kTarget = 1.0;  // of the peer's time
constexpr double kRate = 20.0;   // MB/s a core

fs::path data(const std::string& name) {
  fs::path path = testing::outside_data(name);
  if (path.empty()) throw Error("{} is absent: POLARISCOPE_DATA names the folder that has it", name);
  return path;
}

std::string obstacle() {
  const std::string python = newest_python();
  if (!fs::exists(python)) return python + " is absent: ./dev bench tokenize makes it";
  try {
    run_child({python, "-c", "import tokenizers"});
  } catch (const Error&) {
    return "the package tokenizers is absent from " + python;
  }
  return "";
}

std::vector<Row> run_case(const char* name, const std::vector<std::string>& files, const Settings& settings) {
  const TemporaryFolder folder;
  fs::path gpt2;
  std::string english;
  try {
    gpt2 = data("tokenizers/gpt2");
    for (const std::string& file : files) english += read_file(data(file));
  } catch (const Error& error) {
    return {skipped_row(name, error.what())};
  }
  const fs::path file = folder.path() / "text.txt";
  write_file(file, english);
  LivingPeer peer("encode", {gpt2.string(), file.string(), (folder.path() / "ids").string()}, 1, true, newest_python());
  const std::string version = peer.hear().at("tokenizers").get<std::string>();

  const text::TextEncoder encoder(text::Tokenizer::open(gpt2));
  const text::TokenizeOptions options{.input = file.string(), .threads = 1};
  text::TokenIndex index;
  const auto ours = [&] {
    Progress nobody;
    return processor_seconds_of([&] { index = tokenize(options, encoder, folder.path() / "tokens", nobody); });
  };
  ours();
  if (read_file(folder.path() / "tokens" / index.shards.front().file) != read_file(folder.path() / "ids")) {
    throw Error("our tokens of {} are not those of tokenizers {}", name, version);
  }
  const Pairs pairs = interleave(settings.repeats, ours, [&] { return peer.ask("again").at("seconds").get<double>(); });
  const Summary ratio = summary(pairs.ratios());
  const double megabytes = 1e-6 * static_cast<double>(english.size());
  const double rate = megabytes / summary(pairs.ours).median;
  Row beside = row_named(name);
  beside.ours = seconds_text(summary(pairs.ours));
  beside.peer = seconds_text(summary(pairs.peer));
  beside.ratio = fmt::format("{:.3g} × ({})", ratio.median, spread_text(ratio));
  beside.target = fmt::format("≥ {:g} ×", kTarget);
  beside.verdict = verdict(ratio.median >= kTarget);
  beside.note = fmt::format("{:.3g} MB, the same {} tokens as tokenizers {}", megabytes, index.tokens, version);
  beside.numbers = {{"ours_seconds", to_json(summary(pairs.ours))},
                    {"other_seconds", to_json(summary(pairs.peer))},
                    {"ratio", to_json(ratio)}};
  Row speed = row_named(fmt::format("{}/rate", name));
  speed.ours = fmt::format("{:.3g} MB/s", rate);
  speed.peer = fmt::format("{:.3g} MB/s", megabytes / summary(pairs.peer).median);
  speed.target = fmt::format("≥ {:g} MB/s a core", kRate);
  speed.verdict = verdict(rate >= kRate);
  speed.numbers = {{"seconds", to_json(summary(pairs.ours))}};
  return {beside, speed};
}

std::vector<Row> run_prose(const Settings& s) { return run_case("prose", {"text/war-and-peace/war_and_peace.txt"}, s); }
std::vector<Row> run_wikitext(const Settings& s) {
  return run_case("wikitext", {"text/wikitext-2/test.txt", "text/wikitext-2/valid.txt"}, s);
}

const std::vector<Case>& cases() {
  static const std::vector<Case> kCases{
      {"prose", "a novel", true, run_prose},
      {"wikitext", "articles of Wikipedia", true, run_wikitext},
  };
  return kCases;
}

}  // namespace
}  // namespace polariscope::bench

int main(int argc, char** argv) {
  using namespace polariscope::bench;
  const Benchmark tokenize{
      .name = "tokenize",
      .title = "English to shards of GPT-2's tokens, beside Hugging Face's tokenizers.",
      .reading = "processor time of one thread: ours from file to shards on the disk, the peer's from text to ids",
      .examples =
          "Examples:\n"
          "  ./dev bench tokenize\n"
          "  ./dev bench tokenize --case prose --repeats 21\n"
          "  ./dev bench tokenize --accept",
      .cases = cases(),
      .obstacle = obstacle};
  return run_benchmark(tokenize, argc, argv);
}
