#include "polariscope/models/pretrained/parameters.h"

#include "polariscope/base/error.h"
#include "polariscope/base/names.h"
#include "polariscope/models/pretrained/internal/stored_source.h"
#include "polariscope/models/pretrained/own_attention.h"
#include "polariscope/models/pretrained/parameter_names.h"

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <set>
#include <utility>

namespace polariscope::models {
namespace {

using checkpoints::Checkpoint;
using checkpoints::Tensor;

constexpr std::string_view kArchitecture = "general.architecture";

// Buffers that follow from the config.
constexpr std::array<std::string_view, 4> kIgnoredTensors = {"*.inv_freq", "*position_ids", "*.cos_cached",
                                                             "*.sin_cached"};

// Keys of config.json that change no result of a run without dropout, cache or sampling.
constexpr std::array<std::string_view, 67> kIgnoredKeys = {"_*",
                                                           "architectures",
                                                           "attention_dropout",
                                                           "attn_implementation",
                                                           "auto_map",
                                                           "bad_words_ids",
                                                           "begin_suppress_tokens",
                                                           "bos_token_id",
                                                           "chunk_size_feed_forward",
                                                           "classifier_dropout",
                                                           "cross_attention_hidden_size",
                                                           "decoder_start_token_id",
                                                           "diversity_penalty",
                                                           "do_sample",
                                                           "dtype",
                                                           "early_stopping",
                                                           "encoder_no_repeat_ngram_size",
                                                           "eos_token_id",
                                                           "exponential_decay_length_penalty",
                                                           "finetuning_task",
                                                           "forced_bos_token_id",
                                                           "forced_eos_token_id",
                                                           "gradient_checkpointing",
                                                           "hidden_dropout",
                                                           "id2label",
                                                           "initializer_range",
                                                           "is_decoder",
                                                           "keys_to_ignore_at_inference",
                                                           "label2id",
                                                           "length_penalty",
                                                           "max_length",
                                                           "min_length",
                                                           "model_max_length",
                                                           "model_type",
                                                           "name_or_path",
                                                           "no_repeat_ngram_size",
                                                           "num_beam_groups",
                                                           "num_beams",
                                                           "num_labels",
                                                           "num_return_sequences",
                                                           "output_attentions",
                                                           "output_hidden_states",
                                                           "output_scores",
                                                           "pad_token_id",
                                                           "prefix",
                                                           "problem_type",
                                                           "remove_invalid_values",
                                                           "repetition_penalty",
                                                           "return_dict",
                                                           "return_dict_in_generate",
                                                           "sep_token_id",
                                                           "suppress_tokens",
                                                           "task_specific_params",
                                                           "temperature",
                                                           "tf_legacy_loss",
                                                           "tie_encoder_decoder",
                                                           "tokenizer_class",
                                                           "top_k",
                                                           "top_p",
                                                           "torch_dtype",
                                                           "torchscript",
                                                           "transformers.js_config",
                                                           "transformers_version",
                                                           "typical_p",
                                                           "unsloth_*",
                                                           "use_bfloat16",
                                                           "use_cache"};

constexpr std::array<std::string_view, 5> kIgnoredGgufKeys = {"general.*", "tokenizer.*", "quantize.*", "split.*",
                                                              "mradermacher.*"};

bool matches(std::string_view name, std::string_view pattern) {
  if (pattern.starts_with('*')) return name.ends_with(pattern.substr(1));
  if (pattern.ends_with('*')) return name.starts_with(pattern.substr(0, pattern.size() - 1));
  return name == pattern;
}

bool is_gguf(const Checkpoint& checkpoint) { return checkpoint.format() == checkpoints::Format::kGguf; }

std::string config_place(const Checkpoint& checkpoint) {
  return is_gguf(checkpoint) ? checkpoint.path().string() : (checkpoint.folder() / "config.json").string();
}

const PretrainedRow& row_of(const Checkpoint& checkpoint) {
  const nlohmann::json& config = checkpoint.config();
  const std::string where = config_place(checkpoint);
  const std::string_view key = is_gguf(checkpoint) ? kArchitecture : "model_type";
  if (config.is_null()) throw Error("{} is missing: it says what the weights beside it are", where);
  const auto found = config.is_object() ? config.find(key) : config.end();
  if (!config.is_object() || found == config.end() || !found->is_string()) {
    throw Error("{}: \"{}\" must name the architecture", where, key);
  }
  const auto& name = found->get_ref<const std::string&>();
  try {
    return is_gguf(checkpoint) ? find_gguf_row(name) : find_pretrained_row(name);
  } catch (const Error& error) {
    throw Error("{}: {}", where, error.what());
  }
}

// What both kinds of transformers' classes take for granted.
void check_config(const ConfigReader& config, const nlohmann::json& all) {
  config.only("is_encoder_decoder", false);
  config.only("add_cross_attention", false);
  if (config.has("pruned_heads") && !all["pruned_heads"].empty()) {
    throw Error("{} is not empty: checkpoints without some of their heads are not read", config.at("pruned_heads"));
  }
  if (config.has("quantization_config")) {
    throw Error("{} is set: quantised safetensors are not read, convert them to GGUF or bfloat16",
                config.at("quantization_config"));
  }
}

TensorsAtHand tensors_of(const Checkpoint& checkpoint) {
  TensorsAtHand tensors;
  for (const Tensor& tensor : checkpoint.tensors()) tensors.shapes.emplace(tensor.name, tensor.shape);
  tensors.numbers = [&checkpoint](std::string_view name) -> std::vector<double> {
    const Tensor* tensor = checkpoint.find(name);
    if (tensor == nullptr) return {};
    const std::vector<float> floats = checkpoints::read_floats(*tensor);
    return {floats.begin(), floats.end()};
  };
  return tensors;
}

std::set<std::string_view> names_of(const Checkpoint& checkpoint) {
  std::set<std::string_view> names;
  for (const Tensor& tensor : checkpoint.tensors()) names.insert(tensor.name);
  return names;
}

// Whether the class that wrote the file is one without a head: "Qwen2Model", but not "GPT2LMHeadModel".
bool is_bare(const nlohmann::json& config) {
  const auto found = config.find("architectures");
  if (found == config.end() || !found->is_array() || found->empty() || !found->front().is_string()) return false;
  const auto& name = found->front().get_ref<const std::string&>();
  return name.ends_with("Model") && !name.ends_with("HeadModel");
}

}  // namespace

Plan read_plan(const PretrainedRow& row, const nlohmann::json& config, const std::string& where,
               const TensorsAtHand& tensors) {
  const bool gguf = config.is_object() && config.contains(kArchitecture);
  ConfigReader reader(config, where, gguf ? std::string(row.name) + "." : "");
  if (gguf) {
    reader.ignore(kIgnoredGgufKeys);
  } else {
    reader.ignore(kIgnoredKeys);
    check_config(reader, config);
  }
  reader.ignore(row.ignored_keys);
  Plan plan = row.read(reader, tensors);
  if (!gguf) apply(own_attention(reader), plan, where);
  reader.check_all_read();
  plan.description.architecture = row.name;
  return plan;
}

PretrainedModel::PretrainedModel(const Checkpoint& checkpoint) : PretrainedModel(checkpoint, row_of(checkpoint)) {}

PretrainedModel::PretrainedModel(const Checkpoint& checkpoint, const PretrainedRow& row) : checkpoint_(checkpoint) {
  if (checkpoint_.config().is_null())
    throw Error("{} is missing: it says what the weights beside it are", config_place(checkpoint_));
  resolve(row, read_plan(row, checkpoint_.config(), config_place(checkpoint_), tensors_of(checkpoint_)));
}

void PretrainedModel::resolve(const PretrainedRow& row, Plan plan) {
  description_ = std::move(plan.description);
  sources_ = std::move(plan.sources);
  find_prefix(row);
  find_old_names();
  settle_head();
  check_extra(row, plan.ignored_tensors);
  if (!description_.has_head || description_.tied_head) sources_.erase(std::string(parameter::kHead));
  if (!description_.has_head) sources_.erase(parameter::bias(parameter::kHead));
  const auto needed = parameter_shapes(description_);
  for (const auto& [name, wanted] : needed) {
    if (wanted.needed && !sources_.contains(name)) {
      throw Error("the row of architecture \"{}\" does not say where the parameter \"{}\" is", row.name, name);
    }
  }
  for (const auto& [name, source] : sources_) {
    const auto wanted = needed.find(name);
    if (wanted == needed.end()) {
      throw Error("the row of architecture \"{}\" places a parameter \"{}\", which its description has not", row.name,
                  name);
    }
    check_source(checkpoint_, name, source, wanted->second.shape);
    shapes_.emplace(name, wanted->second.shape);
  }
}

// Files of the base model alone are without the row's prefix, those of a model that sees, too, have another.
void PretrainedModel::find_prefix(const PretrainedRow& row) {
  if (row.prefix.empty()) return;
  const std::string own(row.prefix);
  const std::array<std::pair<std::string, std::string>, 4> candidates = {
      {{own, ""}, {"", ""}, {"language_model." + own, "language_model."}, {"model.language_model.", ""}}};
  const auto renamed = [&own](const std::string& tensor, const std::pair<std::string, std::string>& to) {
    return tensor.starts_with(own) ? to.first + tensor.substr(own.size()) : to.second + tensor;
  };
  const std::set<std::string_view> names = names_of(checkpoint_);
  // The embedding may be there under the head's name alone; then any other tensor of the base model decides.
  for (const auto& candidate : candidates) {
    const bool fits = std::any_of(sources_.begin(), sources_.end(), [&](const auto& entry) {
      return entry.second.tensor.starts_with(own) && entry.first != parameter::kEmbedding &&
             entry.second.stacked == 0 && names.contains(renamed(entry.second.tensor, candidate));
    });
    if (!fits) continue;
    for (auto& [name, source] : sources_) source.tensor = renamed(source.tensor, candidate);
    return;
  }
}

// Norms of old files (Google's BERT) have gamma and beta for weight and bias.
void PretrainedModel::find_old_names() {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 2> kOld = {
      {{".weight", ".gamma"}, {".bias", ".beta"}}};
  const std::set<std::string_view> names = names_of(checkpoint_);
  for (auto& [name, source] : sources_) {
    if (names.contains(source.tensor)) continue;
    for (const auto& [now, old] : kOld) {
      if (!source.tensor.ends_with(now)) continue;
      std::string other = source.tensor.substr(0, source.tensor.size() - now.size()) + std::string(old);
      if (names.contains(other)) source.tensor = std::move(other);
    }
  }
}

// As transformers ties: the head is the embedding, unless the file holds both and they differ; if it holds the head
// alone, that is the embedding.
void PretrainedModel::settle_head() {
  const auto head = sources_.find(parameter::kHead);
  if (head == sources_.end()) return;
  Source& embedding = sources_[std::string(parameter::kEmbedding)];
  const Tensor* of_head = checkpoint_.find(head->second.tensor);
  const Tensor* of_embedding = checkpoint_.find(embedding.tensor);
  if (!description_.tied_head) {
    if (of_head == nullptr && is_bare(checkpoint_.config())) description_.has_head = false;
    return;
  }
  if (of_head == nullptr) return;
  if (of_embedding == nullptr) {
    embedding = head->second;
    return;
  }
  const bool same =
      of_head->type == of_embedding->type && of_head->shape == of_embedding->shape &&
      std::equal(of_head->bytes.begin(), of_head->bytes.end(), of_embedding->bytes.begin(), of_embedding->bytes.end());
  if (!same) description_.tied_head = false;
}

void PretrainedModel::check_extra(const PretrainedRow& row, const std::vector<std::string>& ignored) const {
  std::set<std::string, std::less<>> known;
  for (const auto& [name, source] : sources_) {
    for (std::int64_t part = 0; part < std::max<std::int64_t>(source.stacked, 1); ++part) {
      known.insert(part_name(source, part));
    }
  }
  const auto is_ignored = [&](std::string_view name) {
    const auto fits = [name](std::string_view pattern) { return matches(name, pattern); };
    return std::any_of(kIgnoredTensors.begin(), kIgnoredTensors.end(), fits) ||
           std::any_of(row.ignored_tensors.begin(), row.ignored_tensors.end(), fits) ||
           std::any_of(ignored.begin(), ignored.end(), fits);
  };
  for (const Tensor& tensor : checkpoint_.tensors()) {
    if (known.contains(tensor.name) || is_ignored(tensor.name)) continue;
    const std::vector<std::string_view> names(known.begin(), known.end());
    const std::string near = nearest_name(tensor.name, names);
    throw Error("{}: tensor \"{}\" of shape [{}] is no part of the architecture \"{}\" as its config describes it{}",
                checkpoint_.path().string(), tensor.name, fmt::join(tensor.shape, ", "), row.name,
                near.empty() ? "" : ": the nearest known one is \"" + near + "\"");
  }
}

}  // namespace polariscope::models
