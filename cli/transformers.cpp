#include "transformers.h"

#include "polariscope/base/memory.h"
#include "polariscope/train/language_plan.h"
#include "polariscope/train/language_training.h"
#include "polariscope/train/process.h"
#include "polariscope/train/ranks.h"
#include "polariscope/train/transformer_training.h"
#include "rank_processes.h"

#include <cstdint>
#include <memory>
#include <optional>

namespace polariscope::cli {
namespace {

bool is_language_model(const runs::Settings& given) { return given.get<std::string>("task") == "language-model"; }

// Rank 0 and the processes that it started itself, which are waited for when the training is gone and has told them.
struct OnThisMachine {
  RankProcesses others;
  std::optional<train::Ranks> ranks;
};

std::shared_ptr<train::Ranks> ranks_on_this_machine(int processes) {
  const auto all = std::make_shared<OnThisMachine>();
  all->ranks.emplace(train::RankPlace{.rank = 0, .size = processes},
                     [&](std::uint16_t port) { all->others.start(processes, port); });
  return {all, &*all->ranks};
}

}  // namespace

std::unique_ptr<train::Trainable> transformer_training(const runs::Settings& given, int threads) {
  train::use_threads(threads);
  if (!is_language_model(given)) {
    return std::make_unique<train::TransformerTraining>(train::training_options(given));
  }
  const train::LanguageOptions options = train::language_options(given);
  const int processes = given.get<int>("processes");
  train::require_shared(options, processes);
  // What is wrong is said here, once, before the others are there.
  auto training = std::make_unique<train::LanguageTraining>(options);
  if (const auto place = train::place_in_environment()) {
    training->share(std::make_shared<train::Ranks>(*place));
  } else if (processes > 1) {
    training->share(ranks_on_this_machine(processes));
  }
  return training;
}

std::string training_plan(const runs::Settings& given, int threads) {
  train::use_threads(threads);
  return train::in_words(train::plan_language(given), machine_memory(), threads);
}

bool followed(const runs::Settings& given, int threads) {
  const auto place = is_language_model(given) ? train::place_in_environment() : std::nullopt;
  if (!place || place->rank == 0) return false;
  leave_interrupts_to_the_first();
  train::use_threads(threads);
  train::LanguageTraining training(train::language_options(given));
  training.share(std::make_shared<train::Ranks>(*place));
  training.follow();
  return true;
}

std::string libtorch_version() { return train::libtorch_version(); }

}  // namespace polariscope::cli
