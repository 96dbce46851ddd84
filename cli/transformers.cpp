#include "transformers.h"

#include "polariscope/train/language_training.h"
#include "polariscope/train/process.h"
#include "polariscope/train/ranks.h"
#include "polariscope/train/transformer_training.h"
#include "rank_processes.h"

#include <memory>
#include <utility>

namespace polariscope::cli {
namespace {

bool is_language_model(const runs::Settings& given) { return given.get<std::string>("task") == "language-model"; }

// Rank 0 with the processes that it started itself, which live as long.
class WithProcesses final : public train::Trainable {
 public:
  WithProcesses(const runs::Settings& given, RankProcesses processes, std::shared_ptr<train::Ranks> ranks)
      : processes_(std::move(processes)), training_(train::language_options(given), std::move(ranks)) {}

  runs::MapShape maps() const override { return training_.maps(); }
  std::int64_t steps() const override { return training_.steps(); }
  train::StepNumbers advance() override { return training_.advance(); }
  train::Checkpoint checkpoint() const override { return training_.checkpoint(); }
  void restore(const Safetensors& checkpoint, std::int64_t step) override { training_.restore(checkpoint, step); }
  void open_logs(const std::filesystem::path& folder) override { training_.open_logs(folder); }
  void flush_logs() override { training_.flush_logs(); }
  std::string note(const train::StepNumbers& numbers) const override { return training_.note(numbers); }
  std::string finish(const std::filesystem::path& folder, nlohmann::ordered_json& result) override {
    return training_.finish(folder, result);
  }

 private:
  RankProcesses processes_;  // ended after the training has told them to end
  train::LanguageTraining training_;
};

}  // namespace

std::unique_ptr<train::Trainable> transformer_training(const runs::Settings& given, int threads) {
  train::use_threads(threads);
  if (!is_language_model(given)) {
    return std::make_unique<train::TransformerTraining>(train::training_options(given));
  }
  const train::LanguageOptions options = train::language_options(given);
  const int processes = given.get<int>("processes");
  if (const auto place = train::place_in_environment()) {
    return std::make_unique<train::LanguageTraining>(options, std::make_shared<train::Ranks>(*place));
  }
  if (processes == 1) return std::make_unique<train::LanguageTraining>(options);
  // What is wrong is said once, before the others are there.
  train::require_shared(options, processes);
  { const train::LanguageTraining alone(options); }
  RankProcesses others;
  auto ranks = std::make_shared<train::Ranks>(train::RankPlace{.rank = 0, .size = processes},
                                              [&](std::uint16_t port) { others.start(processes, port); });
  return std::make_unique<WithProcesses>(given, std::move(others), std::move(ranks));
}

bool followed(const runs::Settings& given, int threads) {
  const auto place = is_language_model(given) ? train::place_in_environment() : std::nullopt;
  if (!place || place->rank == 0) return false;
  leave_interrupts_to_the_first();
  train::use_threads(threads);
  train::LanguageTraining(train::language_options(given), std::make_shared<train::Ranks>(*place)).follow();
  return true;
}

std::string libtorch_version() { return train::libtorch_version(); }

}  // namespace polariscope::cli
