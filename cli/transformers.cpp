#include "transformers.h"

#include "polariscope/train/language_training.h"
#include "polariscope/train/process.h"
#include "polariscope/train/transformer_training.h"

namespace polariscope::cli {

std::unique_ptr<train::Trainable> transformer_training(const runs::Settings& given, int threads) {
  train::use_threads(threads);
  if (given.get<std::string>("task") == "language-model") {
    return std::make_unique<train::LanguageTraining>(train::language_options(given));
  }
  return std::make_unique<train::TransformerTraining>(train::training_options(given));
}

std::string libtorch_version() { return train::libtorch_version(); }

}  // namespace polariscope::cli
