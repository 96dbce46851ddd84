#include "polariscope/train/training_options.h"

#include "polariscope/base/error.h"
#include "polariscope/base/names.h"

#include <array>
#include <string_view>

namespace polariscope::train {
namespace {

void require_known(std::string_view kind, const std::string& name, std::span<const std::string_view> known) {
  for (const std::string_view one : known) {
    if (one == name) return;
  }
  throw Error("{}", unknown_name(kind, name, known));
}

void require_positive(std::string_view what, std::int64_t found) {
  if (found < 1) throw Error("{} must be positive, found {}", what, found);
}

}  // namespace

TrainingOptions completed(TrainingOptions options) {
  TrainingOptions& o = options;
  constexpr std::array<std::string_view, 3> kTasks{"induction", "token-groups", "in-context-regression"};
  constexpr std::array<std::string_view, 2> kOptimisers{"adamw", "sgd"};
  require_known("task", o.task, kTasks);
  if (o.task == kTasks.back()) throw Error("{} is no task of a transformer: its model is of attention alone", o.task);
  require_known("optimiser", o.optimiser, kOptimisers);
  const bool induction = o.task == "induction";
  if (o.vocabulary == 0) o.vocabulary = induction ? 50 : 81;
  if (o.sequence_length == 0) o.sequence_length = induction ? 13 : 10;
  if (o.training_sequences == 0) o.training_sequences = induction ? 100'000 : 10'000;
  if (o.positions.empty()) o.positions = induction ? "concat" : "no";
  require_positive("vocabulary", o.vocabulary);
  require_positive("sequence length", o.sequence_length);
  require_positive("number of training sequences", o.training_sequences);
  require_positive("number of evaluation sequences", o.evaluation_sequences);
  require_positive("number of epochs", o.epochs);
  require_positive("batch", o.batch);
  if (!(o.auxiliary_loss >= 0.0)) throw Error("auxiliary loss must be at least 0, found {}", o.auxiliary_loss);
  if (!induction && o.shift_query_token) throw Error("shift-query-token is of the induction task, not of {}", o.task);
  return options;
}

std::int64_t steps_per_epoch(const TrainingOptions& options) {
  return (options.training_sequences + options.batch - 1) / options.batch;
}

}  // namespace polariscope::train
