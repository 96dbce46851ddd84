#include "polariscope/train/trainer.h"

#include "polariscope/base/error.h"
#include "polariscope/models/architecture.h"
#include "polariscope/train/stored_parameters.h"

#include <ATen/TensorOperators.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <span>
#include <string>
#include <system_error>

namespace polariscope::train {
namespace {

std::unique_ptr<models::Model> make_model(const TrainingOptions& o, const TaskBatches& task) {
  models::ModelOptions model{.architecture = models::find_architecture("polarisation"),
                             .attention = o.attention,
                             .shape = {.layers = o.layers, .heads = o.heads, .width = o.width}};
  model.architecture.positions = models::find_positions(o.positions);
  model.architecture.layer_norm = o.layer_norm;
  model.architecture.mlp = o.mlp;
  task.fit(model.shape);
  return models::make_model(model, at::kFloat, o.seed);
}

std::unique_ptr<Optimiser> make_optimiser(const TrainingOptions& o, const at::Tensor& values) {
  if (o.optimiser == "sgd") {
    return std::make_unique<Sgd>(SgdOptions{.learning_rate = o.learning_rate, .momentum = o.momentum}, values);
  }
  const double decay = o.optimiser == "adamw" ? o.weight_decay : 0.0;
  return std::make_unique<AdamW>(AdamWOptions{.learning_rate = o.learning_rate, .weight_decay = decay}, values);
}

}  // namespace

Trainer::Trainer(const TrainingOptions& options)
    : options_(completed(options)),
      task_(TaskBatches::make(options_)),
      model_(make_model(options_, *task_)),
      optimiser_(make_optimiser(options_, model_->parameters().values())),
      steps_(options_.epochs * steps_per_epoch(options_)) {}

StepRecord Trainer::advance() {
  const std::int64_t each = steps_per_epoch(options_);
  const std::int64_t number = course_.batch(step_ + 1), epoch = number / each, first = number % each * options_.batch;
  if (epoch != epoch_) {
    order_ = shuffled(options_.training_sequences, options_.seed, epoch);
    epoch_ = epoch;
  }
  const std::int64_t count = std::min(options_.batch, options_.training_sequences - first);
  const Batch batch =
      task_->batch(tasks::Split::kTraining, std::span(order_).subspan(static_cast<std::size_t>(first), count));
  StepRecord record{.step = step_ + 1, .layers = {}};
  const at::Tensor logits = model_->forward(
      batch.tokens, {.statistics = monitored_statistics(), .see = [&](const models::LayerAttention& layer) {
                       record.layers.push_back(layer_record(layer.statistics));
                     }});
  const at::Tensor loss = task_->loss(logits, batch.targets);
  model_->parameters().clear_gradients();
  loss.backward();
  record.loss = loss.item<double>();
  const at::Tensor gradients = model_->parameters().gradients();
  record.gradient_norm = gradient_norm(gradients);
  if (std::isfinite(record.loss) && std::isfinite(record.gradient_norm)) {
    optimiser_->set_learning_rate(options_.learning_rate * course_.rate(record.step));
    record.update_norm = optimiser_->step(model_->parameters().values(), gradients);
    step_ = record.step;
    loss_ = record.loss;
  } else {
    record.update_norm = std::numeric_limits<double>::quiet_NaN();
  }
  return record;
}

Checkpoint Trainer::checkpoint() const {
  Checkpoint checkpoint{.tensors = {}, .metadata = {{"loss", fmt::format("{}", loss_)}}};
  store(*model_, *optimiser_, checkpoint);
  return checkpoint;
}

void Trainer::restore(const Safetensors& checkpoint, std::int64_t step) {
  const std::string loss = word_of(checkpoint, "loss");
  if (std::from_chars(loss.data(), loss.data() + loss.size(), loss_).ec != std::errc()) throw Error("it has no loss");
  restore_from(checkpoint, *model_, *optimiser_);
  step_ = step;
}

}  // namespace polariscope::train
