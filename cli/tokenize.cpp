// polariscope tokenize: texts to token shards that a training maps into memory.
#include "polariscope/tasks/text/tokenize.h"

#include "commands.h"
#include "polariscope/audit/documents.h"
#include "polariscope/base/error.h"
#include "polariscope/base/interrupt.h"
#include "polariscope/base/names.h"
#include "polariscope/base/progress.h"
#include "polariscope/base/terminal.h"
#include "polariscope/checkpoints/checkpoint.h"
#include "polariscope/tasks/text/token_shards.h"
#include "settings.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace polariscope::cli {
namespace {

namespace fs = std::filesystem;
namespace text = tasks::text;

struct TokenizeSettings {
  std::string input, tokenizer, out, format = "auto", field = "text";
  double threads = 0.0, shard_tokens = 1e8;
  bool no_separator = false, overwrite = false, json = false, quiet = false;
};

text::TextEncoder encoder_of(const std::string& name) {
  if (name == "bytes") return text::TextEncoder::of_bytes();
  std::error_code unknown;
  if (fs::exists(name, unknown)) return text::TextEncoder(text::Tokenizer::open(name));
  // A model's name: its files lie in the cache of the hf program.
  return text::TextEncoder(
      of_option("--tokenizer", [&] { return audit::tokenizer_of(checkpoints::Checkpoint(name), ""); }));
}

text::TokenizeOptions options_of(const TokenizeSettings& settings) {
  text::TokenizeOptions options;
  options.input = settings.input;
  constexpr std::array<std::string_view, 3> kFormats = {"auto", "text", "jsonl"};
  if (std::ranges::find(kFormats, settings.format) == kFormats.end()) {
    throw Error("--format: {}", unknown_name("format", settings.format, kFormats));
  }
  if (settings.format != "auto") options.lines = settings.format == "jsonl";
  options.field = settings.field;
  options.separate = !settings.no_separator;
  options.threads = static_cast<int>(whole_number("--threads", settings.threads, 0, 4096));
  options.shard_tokens = whole_number("--shard-tokens", settings.shard_tokens, 1);
  return options;
}

std::string counted(std::int64_t count, const char* thing) {
  return fmt::format("{} {}{}", count, thing, count == 1 ? "" : "s");
}

void say(const text::TokenIndex& index, const fs::path& folder) {
  fmt::print("{} of {}, {} bytes a token, vocabulary of {}\n", counted(index.tokens, "token"),
             counted(index.documents, "document"),
             significant(static_cast<double>(index.bytes) / static_cast<double>(index.tokens), 3), index.vocabulary);
  if (index.documents > 1) {
    fmt::print("between documents: {}\n", index.separator ? printable(index.separator->text) : "nothing");
  }
  if (index.rough_cuts > 0) {
    fmt::print("long texts were cut at {} where their tokens may be others than in the whole\n",
               counted(index.rough_cuts, "place"));
  }
  fmt::print("{}: {} of {}-bit numbers, fingerprint {}\n", printable(folder.string()),
             counted(std::ssize(index.shards), "shard"), 8 * index.token_bytes, index.fingerprint);
}

void print_json(const text::TokenIndex& index, std::optional<double> seconds) {
  nlohmann::ordered_json json = text::to_json(index);
  json["seconds"] = seconds ? nlohmann::ordered_json(*seconds) : nlohmann::ordered_json(nullptr);
  fmt::print("{}\n", json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

// What the folder holds already, where that is what is asked for. Throws Error where it is something else, of which
// only tokens may be overwritten.
std::optional<text::TokenIndex> found_in(const fs::path& folder, const TokenizeSettings& settings,
                                         const text::TokenizeOptions& options, const text::TextEncoder& encoder) {
  std::error_code unknown;
  if (!fs::exists(folder, unknown)) return std::nullopt;
  if (!fs::is_directory(folder, unknown)) throw Error("--out {}: this is no folder: choose another name", settings.out);
  if (fs::is_empty(folder, unknown)) return std::nullopt;
  if (!fs::exists(folder / "index.json", unknown)) {
    throw Error("--out {}: the folder holds something else: choose one that is new", settings.out);
  }
  if (settings.overwrite) {
    of_option("--overwrite", [&] { return text::read_token_index(folder).tokens; });
    return std::nullopt;
  }
  const text::TokenShards shards(folder);
  if (!is_of(shards.index(), options, encoder)) {
    throw Error("--out {}: the folder holds tokens of another text or tokenizer: choose another one, or --overwrite",
                settings.out);
  }
  shards.verify(options.threads);
  return shards.index();
}

int run(const TokenizeSettings& settings) {
  const text::TokenizeOptions options = options_of(settings);
  const text::TextEncoder encoder = encoder_of(settings.tokenizer);
  catch_interrupts();
  const std::uint64_t bytes = text::input_bytes(options);
  if (const auto found = found_in(settings.out, settings, options, encoder)) {
    if (settings.json) {
      print_json(*found, std::nullopt);
      return 0;
    }
    fmt::print("nothing to do: these tokens are there, of the same text and tokenizer\n");
    say(*found, settings.out);
    return 0;
  }
  const auto began = std::chrono::steady_clock::now();
  ProgressBoard board(settings.quiet ? ProgressBoard::Mode::kQuiet : ProgressBoard::Mode::kAuto);
  Progress progress = board.start("tokenize", bytes, "B");
  const text::TokenIndex index = tokenize(options, encoder, settings.out, progress);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  progress.finish(fmt::format("{} tokens", index.tokens));
  if (settings.json) {
    print_json(index, seconds);
    return 0;
  }
  say(index, settings.out);
  fmt::print("{} MB in {}, {} MB/s\n", significant(1e-6 * static_cast<double>(index.bytes), 3), duration(seconds),
             significant(1e-6 * static_cast<double>(index.bytes) / seconds, 3));
  return 0;
}

}  // namespace

Command add_tokenize(CLI::App& app) {
  CLI::App* command = app.add_subcommand("tokenize", "Make token shards of texts, for trainings");
  auto settings = std::make_shared<TokenizeSettings>();
  command
      ->add_option("text", settings->input,
                   "A text file; a .jsonl file, an object with a text in each line; a folder with such files, *.txt, "
                   "*.md and *.jsonl, in it and below; -: standard input")
      ->type_name("TEXT")
      ->required();
  command
      ->add_option("--tokenizer", settings->tokenizer,
                   "A tokenizer's file or the folder of its model, a model's name in the cache of the hf program, or "
                   "bytes: 256 tokens, one a byte")
      ->type_name("FILE")
      ->required();
  command->add_option("--out", settings->out, "The folder to make: index.json and shards of numbers")
      ->type_name("FOLDER")
      ->required();
  command->add_option("--format", settings->format, "What is read: auto (by the names of files), text or jsonl")
      ->type_name("NAME")
      ->capture_default_str();
  command->add_option("--field", settings->field, "Of each object of a .jsonl file, which holds its text")
      ->type_name("NAME")
      ->capture_default_str();
  command->add_flag("--no-separator", settings->no_separator,
                    "Nothing between documents; else the tokenizer's end of a text, or its beginning where it has no "
                    "other");
  command->add_option("--shard-tokens", settings->shard_tokens, "Tokens of a shard")
      ->type_name("N")
      ->default_str("1e8");
  command->add_option("--threads", settings->threads, "0: one per processor; the shards are the same for any number")
      ->type_name("N")
      ->capture_default_str();
  command->add_flag("--overwrite", settings->overwrite, "In place of other tokens in --out");
  command->add_flag("--json", settings->json, "Print the index as one JSON object, with the seconds it took");
  command->add_flag("--quiet", settings->quiet, "No progress");
  command->footer(
      "Memory does not grow with the text. The folder is there as a whole or not at all; what is there\n"
      "already, of the same text and tokenizer, is kept.\n"
      "Examples:\n"
      "  polariscope tokenize book.txt --tokenizer gpt2 --out tokens\n"
      "  polariscope tokenize corpus.jsonl --field content --tokenizer model/tokenizer.json --out tokens\n"
      "  zcat corpus.jsonl.gz | polariscope tokenize - --format jsonl --tokenizer model.gguf --out tokens\n"
      "  polariscope tokenize texts --tokenizer bytes --out tokens");
  return [=] {
    require_values(*command);
    return run(*settings);
  };
}

}  // namespace polariscope::cli
