#include "transformers.h"

#include "polariscope/train/process.h"
#include "polariscope/train/transformer_training.h"

namespace polariscope::cli {

std::unique_ptr<train::Trainable> transformer_training(const runs::Settings& given, int threads) {
  train::use_threads(threads);
  return std::make_unique<train::TransformerTraining>(train::training_options(given));
}

std::string libtorch_version() { return train::libtorch_version(); }

}  // namespace polariscope::cli
