// What the training of a language model is told (the table: runs/options.h; docs/language-models.md).
#pragma once

#include "polariscope/models/language/language_model.h"
#include "polariscope/runs/settings.h"
#include "polariscope/train/optimiser.h"

#include <cstdint>
#include <memory>
#include <string>

namespace polariscope::train {

struct LanguageOptions {
  std::string data = {};           // folder of token shards
  std::string model = "llama-3m";  // preset, config.json, or folder of a published model
  std::int64_t context = 0;        // 0: the model's
  std::string attention = "softmax", qk_norm = "no";
  double soft_cap = 0.0;
  bool output_gate = false;
  std::string precision = "float32";  // or "bfloat16"
  double deviation = 0.02;
  bool sigma_reparam = false;
  std::string device = "cpu";  // or "cuda"
  std::string optimiser = "adamw", schedule = "cosine";
  double learning_rate = 1e-3, final_rate = 0.1, weight_decay = 0.1, beta_1 = 0.9, beta_2 = 0.95, momentum = 0.0;
  double entropy_floor = 0.0, entropy_weight = 1.0;  // a share of uniform rows'; weight of the shortfall's square
  double qk_clip = 0.0;                              // 0: none
  double clip = 1.0, z_loss = 0.0;                   // clip 0: none
  std::int64_t warmup = 0, steps = 1000, batch = 16, accumulation = 1;
  std::int64_t validation_every = 100, validation_sequences = 32;
  std::uint64_t seed = 0;
};

// Throws Error for options that make no sense together.
LanguageOptions language_options(const runs::Settings& settings);

// Throws Error where so many processes cannot share every part of a batch evenly.
void require_shared(const LanguageOptions& options, std::int64_t processes);

// The learning rate of step 1 … steps: it rises over the warm-up and falls to final_rate of it at the last step.
double learning_rate_at(const LanguageOptions& options, std::int64_t step);

// The model that they describe, before it has numbers. vocabulary: of the tokens that it is to read; 0: the model's
// own. Throws Error for a model that cannot be, or that has too few tokens or positions.
models::language::LanguageModelOptions model_options(const LanguageOptions& options, std::int64_t vocabulary);

// With the numbers that it starts from. Throws Error likewise.
std::unique_ptr<models::language::LanguageModel> make_language_model(const LanguageOptions& options,
                                                                     std::int64_t vocabulary);

std::unique_ptr<Optimiser> make_optimiser(const LanguageOptions& options, const models::Parameters& parameters);

// Tokens of a sequence.
std::int64_t context_of(const LanguageOptions& options, std::int64_t longest);

}  // namespace polariscope::train
