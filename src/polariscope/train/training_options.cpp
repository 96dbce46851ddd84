#include "polariscope/train/training_options.h"

#include "polariscope/base/error.h"
#include "polariscope/base/names.h"

#include <algorithm>
#include <span>
#include <string_view>

namespace polariscope::train {
namespace {

void require_known(std::string_view option, const std::string& name) {
  const std::span<const std::string_view> known = runs::find_option(runs::options(), option)->choices;
  if (std::ranges::find(known, name) == known.end()) throw Error("{}", unknown_name(option, name, known));
}

void require_positive(std::string_view what, std::int64_t found) {
  if (found < 1) throw Error("{} must be positive, found {}", what, found);
}

}  // namespace

TrainingOptions training_options(const runs::Settings& settings) {
  TrainingOptions o;
  settings.read("task", o.task);
  settings.read("vocabulary", o.vocabulary);
  settings.read("sequence_length", o.sequence_length);
  settings.read("shift_query_token", o.shift_query_token);
  settings.read("auxiliary_loss", o.auxiliary_loss);
  settings.read("training_sequences", o.training_sequences);
  settings.read("evaluation_sequences", o.evaluation_sequences);
  settings.read("attention", o.attention);
  settings.read("positions", o.positions);
  settings.read("layers", o.layers);
  settings.read("heads", o.heads);
  settings.read("width", o.width);
  settings.read("mlp", o.mlp);
  settings.read("layer_norm", o.layer_norm);
  settings.read("optimiser", o.optimiser);
  settings.read("learning_rate", o.learning_rate);
  settings.read("weight_decay", o.weight_decay);
  settings.read("momentum", o.momentum);
  settings.read("epochs", o.epochs);
  settings.read("batch", o.batch);
  settings.read("seed", o.seed);
  return o;
}

TrainingOptions completed(TrainingOptions options) {
  TrainingOptions& o = options;
  require_known("task", o.task);
  if (o.task == "in-context-regression") {
    throw Error("{} is no task of a transformer: its model is of attention alone", o.task);
  }
  require_known("optimiser", o.optimiser);
  const runs::Settings of_task({{"task", o.task}});
  if (o.vocabulary == 0) of_task.read("vocabulary", o.vocabulary);
  if (o.sequence_length == 0) of_task.read("sequence_length", o.sequence_length);
  if (o.training_sequences == 0) of_task.read("training_sequences", o.training_sequences);
  if (o.positions.empty()) of_task.read("positions", o.positions);
  require_positive("vocabulary", o.vocabulary);
  require_positive("sequence length", o.sequence_length);
  require_positive("number of training sequences", o.training_sequences);
  require_positive("number of evaluation sequences", o.evaluation_sequences);
  require_positive("number of epochs", o.epochs);
  require_positive("batch", o.batch);
  if (!(o.auxiliary_loss >= 0.0)) throw Error("auxiliary loss must be at least 0, found {}", o.auxiliary_loss);
  if (o.task != "induction" && o.shift_query_token)
    throw Error("shift-query-token is of the induction task, not of {}", o.task);
  return options;
}

std::int64_t steps_per_epoch(const TrainingOptions& options) {
  return (options.training_sequences + options.batch - 1) / options.batch;
}

}  // namespace polariscope::train
