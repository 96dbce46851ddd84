// polariscope export: a trained language model as a folder that other programs load.
#include "commands.h"
#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/safetensors.h"
#include "polariscope/base/whole_folder.h"
#include "polariscope/models/language/folded_matrix.h"
#include "polariscope/models/language/published_model.h"
#include "polariscope/models/pretrained/own_attention.h"
#include "polariscope/tasks/text/byte_tokenizer.h"
#include "polariscope/train/checkpoint.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <array>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::cli {
namespace {

namespace fs = std::filesystem;
namespace language = models::language;
using nlohmann::ordered_json;

struct ExportSettings {
  std::string run, out, tokenizer;
};

fs::path checkpoint_of(const fs::path& run) {
  if (!fs::is_directory(run)) return run;
  const fs::path last = run / "checkpoint" / "last.safetensors";
  if (!fs::exists(last)) throw Error("{} is no run of a training: {} is missing", run.string(), last.string());
  return last;
}

void copy_tokenizer(const fs::path& from, const fs::path& folder) {
  constexpr std::array kNames{"tokenizer.json",
                              "tokenizer_config.json",
                              "special_tokens_map.json",
                              "vocab.json",
                              "merges.txt",
                              "tokenizer.model",
                              "vocab.txt",
                              "added_tokens.json"};
  int copied = 0;
  for (const char* name : kNames) {
    const fs::path file = fs::is_directory(from) ? from / name : from;
    if (!fs::is_regular_file(file) || file.filename() != name) continue;
    write_file(folder / name, read_file(file));
    ++copied;
  }
  if (copied == 0) {
    throw Error(
        "{} has no file of a tokenizer: expected tokenizer.json, vocab.json with merges.txt, tokenizer.model "
        "or vocab.txt",
        from.string());
  }
}

int run_export(const ExportSettings& s) {
  if (s.out.empty()) throw Error("export needs --out FOLDER: where the model goes");
  const fs::path path = checkpoint_of(s.run);
  const Safetensors checkpoint(path);
  if (!checkpoint.metadata().contains("model")) {
    throw Error("{} is of no language model: other trainings have no form that is exported", path.string());
  }
  const std::string model = train::word_of(checkpoint, "model");
  if (model.empty()) {
    throw Error("{} is of a model out of a GGUF file, which brought no config.json: export is for others",
                path.string());
  }
  if (fs::exists(s.out) && !(fs::is_directory(s.out) && fs::is_empty(s.out))) {
    throw Error("{} is there already: choose another --out", s.out);
  }
  const auto numbers_of = [&](const std::string& parameter) -> std::span<const float> {
    const StoredTensor* tensor = checkpoint.find(parameter);
    if (tensor == nullptr || tensor->dtype != Dtype::kF32) {
      throw Error("{} has no {} in float32", path.string(), parameter);
    }
    return {reinterpret_cast<const float*>(tensor->bytes.data()), tensor->bytes.size() / sizeof(float)};
  };
  std::vector<float> plain;  // the last matrix that was folded
  const ordered_json config = language::as_published(ordered_json::parse(model));
  WholeFolder folder(s.out);
  language::write_published(
      config,
      [&](std::string_view parameter) -> std::span<const float> {
        const std::string name(parameter);
        const auto beside = [&](std::string_view end) { return name + std::string(end); };
        if (checkpoint.find(beside(language::kGain)) == nullptr) return numbers_of(name);
        plain = language::folded(numbers_of(name), numbers_of(beside(language::kGain)).front(),
                                 numbers_of(beside(language::kLeft)), numbers_of(beside(language::kRight)));
        return plain;
      },
      folder.path());
  if (!s.tokenizer.empty()) {
    copy_tokenizer(s.tokenizer, folder.path());
  } else if (train::word_of(checkpoint, "tokenizer") == "bytes") {
    write_file(folder.path() / "tokenizer.json", tasks::text::byte_tokenizer_json());
    // Else transformers takes the class that goes with the model's, and that one's special tokens are not there.
    write_file(
        folder.path() / "tokenizer_config.json",
        ordered_json{{"tokenizer_class", "PreTrainedTokenizerFast"}, {"clean_up_tokenization_spaces", false}}.dump(1) +
            "\n");
  }
  folder.put_in_place();
  if (const auto own = config.find(models::kOwnAttentionKey); own != config.end()) {
    fmt::print("{}: its attention ({}) is in no class of transformers: polariscope reads it, others refuse it\n", s.out,
               own->dump());
  } else {
    fmt::print("{}: a {} that transformers loads\n", s.out, config.at("model_type").get<std::string>());
  }
  return 0;
}

}  // namespace

Command add_export(CLI::App& app) {
  CLI::App* command = app.add_subcommand("export", "A trained language model as a folder that transformers loads");
  auto settings = std::make_shared<ExportSettings>();
  command->add_option("run", settings->run, "Folder of a run of `train --task language-model`, or a checkpoint of one")
      ->required()
      ->type_name("RUN");
  command->add_option("--out", settings->out, "Folder to write, new or empty")->type_name("FOLDER");
  command
      ->add_option("--tokenizer", settings->tokenizer,
                   "Folder of a tokenizer, or its file, to lie beside the model; one of bytes comes by itself")
      ->type_name("PATH");
  command->footer(
      "Writes config.json and model.safetensors under the names of the model's class, Llama's, GPT-2's and so on; "
      "with\n"
      "rms norms of queries and keys a Llama becomes a Qwen3. Another attention is said in config.json under\n"
      "\"polariscope\", with a model_type that others refuse; `polariscope audit` reads it.\n"
      "Examples:\n"
      "  polariscope export run --out model --tokenizer gpt2\n"
      "  polariscope export run/checkpoint/alarm-400.safetensors --out before\n"
      "  polariscope audit model --text book.txt");
  return [=] { return run_export(*settings); };
}

}  // namespace polariscope::cli
