// polariscope export: a trained language model as a folder that other programs load.
#include "commands.h"
#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/safetensors.h"
#include "polariscope/models/language/blueprint.h"
#include "polariscope/models/pretrained/published_tensors.h"
#include "polariscope/train/checkpoint.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <array>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace polariscope::cli {
namespace {

namespace fs = std::filesystem;
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

// Norms of queries and keys as Qwen3 has them make a Llama one: transformers loads it.
ordered_json as_published(ordered_json config) {
  const auto own = config.find(models::kOwnAttentionKey);
  const bool is_llama = config.at("model_type") == std::string(models::kOwnModelPrefix) + "llama";
  if (own == config.end() || !is_llama) return config;
  if (own->at("attention") != "softmax" || own->at("qk_norm") != "rms" || own->at("soft_cap") != 0.0) return config;
  config.erase(std::string(models::kOwnAttentionKey));
  config.erase("mlp_bias");
  config["model_type"] = "qwen3";
  config["architectures"] = {"Qwen3ForCausalLM"};
  // What Qwen3 would take for others where they are left out.
  if (!config.contains("num_key_value_heads")) config["num_key_value_heads"] = config.at("num_attention_heads");
  config["head_dim"] =
      config.at("hidden_size").get<std::int64_t>() / config.at("num_attention_heads").get<std::int64_t>();
  return config;
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

void write_model(const Safetensors& checkpoint, const ordered_json& config, const fs::path& folder) {
  const models::language::Blueprint blueprint = models::language::blueprint_of(config, "the run's model");
  const auto numbers = [&](std::string_view parameter) -> std::span<const float> {
    const StoredTensor* tensor = checkpoint.find(parameter);
    if (tensor == nullptr || tensor->dtype != Dtype::kF32)
      throw Error("the checkpoint has no {} in float32", parameter);
    return {reinterpret_cast<const float*>(tensor->bytes.data()), tensor->bytes.size() / sizeof(float)};
  };
  const std::vector<models::PublishedTensor> tensors =
      models::published_tensors(blueprint.shapes, blueprint.sources, numbers);
  std::vector<StoredTensor> stored;
  for (const models::PublishedTensor& tensor : tensors) {
    stored.push_back({.name = tensor.name,
                      .dtype = Dtype::kF32,
                      .shape = tensor.shape,
                      .bytes = std::as_bytes(std::span(tensor.numbers))});
  }
  write_safetensors(folder / "model.safetensors", stored, {{"format", "pt"}});
  ordered_json written = config;
  written["torch_dtype"] = "float32";
  write_file(folder / "config.json", written.dump(2) + "\n");
}

int run_export(const ExportSettings& s) {
  if (s.out.empty()) throw Error("export needs --out FOLDER: where the model goes");
  const fs::path folder = s.out, path = checkpoint_of(s.run);
  const Safetensors checkpoint(path);
  const std::string model = train::word_of(checkpoint, "model");
  if (model.empty())
    throw Error("{} is of no language model: other trainings have no form that is exported", path.string());
  if (fs::exists(folder) && !(fs::is_directory(folder) && fs::is_empty(folder))) {
    throw Error("{} is there already: choose another --out", folder.string());
  }
  const ordered_json config = as_published(ordered_json::parse(model));
  make_folder(folder);
  write_model(checkpoint, config, folder);
  if (!s.tokenizer.empty()) copy_tokenizer(s.tokenizer, folder);
  if (const auto own = config.find(models::kOwnAttentionKey); own != config.end()) {
    fmt::print("{}: its attention ({}) is in no class of transformers: polariscope reads it, others refuse it\n",
               folder.string(), own->dump());
  } else {
    fmt::print("{}: a {} that transformers loads\n", folder.string(), config.at("model_type").get<std::string>());
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
  command->add_option("--tokenizer", settings->tokenizer, "Folder of a tokenizer, or its file, to lie beside the model")
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
