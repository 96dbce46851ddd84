#include "polariscope/base/error.h"
#include "training_program.h"
#include "transformers.h"

namespace polariscope::cli {

std::unique_ptr<train::Trainable> transformer_training(const runs::Settings& given, int) {
  throw Error("--task {}: {}", given.get<std::string>("task"), kNoTransformers);
}

std::string training_plan(const runs::Settings& given, int) {
  throw Error("--task {}: {}", given.get<std::string>("task"), kNoTransformers);
}

bool followed(const runs::Settings&, int) { return false; }

std::string libtorch_version() { return ""; }

}  // namespace polariscope::cli
