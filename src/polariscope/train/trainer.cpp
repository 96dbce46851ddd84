#include "polariscope/train/trainer.h"

#include "polariscope/base/error.h"
#include "polariscope/base/safetensors.h"

#include <ATen/TensorOperators.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <system_error>

namespace polariscope::train {
namespace {

models::Transformer make_model(const TrainingOptions& o, const TaskBatches& task) {
  models::TransformerOptions model{.attention = o.attention,
                                   .positions = models::find_positions(o.positions),
                                   .mlp = o.mlp,
                                   .layer_norm = o.layer_norm,
                                   .layers = o.layers,
                                   .heads = o.heads,
                                   .width = o.width};
  task.fit(model);
  return {model, at::kFloat, o.seed};
}

std::unique_ptr<Optimiser> make_optimiser(const TrainingOptions& o, const at::Tensor& values) {
  if (o.optimiser == "sgd") {
    return std::make_unique<Sgd>(SgdOptions{.learning_rate = o.learning_rate, .momentum = o.momentum}, values);
  }
  return std::make_unique<AdamW>(AdamWOptions{.learning_rate = o.learning_rate, .weight_decay = o.weight_decay},
                                 values);
}

using Named = std::vector<std::pair<std::string, at::Tensor>>;

Named checkpointed(const models::Transformer& model, const Optimiser& optimiser) {
  Named all = model.parameters().named_values();
  for (auto& [name, tensor] : optimiser.state()) all.emplace_back("optimiser." + name, tensor);
  return all;
}

Dtype dtype_of(const at::Tensor& tensor) {
  if (tensor.scalar_type() == at::kLong) return Dtype::kI64;
  return tensor.scalar_type() == at::kDouble ? Dtype::kF64 : Dtype::kF32;
}

// A number of the file's metadata; nothing where there is none of that name.
template <class Number>
std::optional<Number> number_of(const Safetensors& file, const std::string& name) {
  const auto found = file.metadata().find(name);
  if (found == file.metadata().end()) return std::nullopt;
  const char *begin = found->second.data(), *end = begin + found->second.size();
  Number number{};
  const auto [rest, failure] = std::from_chars(begin, end, number);
  if (failure != std::errc() || rest != end) return std::nullopt;
  return number;
}

}  // namespace

Trainer::Trainer(const TrainingOptions& options)
    : options_(completed(options)),
      task_(TaskBatches::make(options_)),
      model_(make_model(options_, *task_)),
      optimiser_(make_optimiser(options_, model_.parameters().values())),
      steps_(options_.epochs * steps_per_epoch(options_)) {}

StepRecord Trainer::advance() {
  const std::int64_t each = steps_per_epoch(options_);
  const std::int64_t epoch = step_ / each, first = step_ % each * options_.batch;
  if (epoch != epoch_) {
    order_ = shuffled(options_.training_sequences, options_.seed, epoch);
    epoch_ = epoch;
  }
  const std::int64_t count = std::min(options_.batch, options_.training_sequences - first);
  const Batch batch =
      task_->batch(tasks::Split::kTraining, std::span(order_).subspan(static_cast<std::size_t>(first), count));
  const models::Transformer::Result of_model = model_.forward(batch.tokens, monitored_statistics());
  const at::Tensor loss = task_->loss(of_model.logits, batch.targets);
  model_.parameters().clear_gradients();
  loss.backward();
  StepRecord record;
  record.norms = optimiser_->step(model_.parameters().values(), model_.parameters().gradients());
  record.step = ++step_;
  record.loss = loss_ = loss.item<double>();
  for (const attention::TensorStatistics& statistics : of_model.statistics)
    record.layers.push_back(layer_record(statistics));
  return record;
}

void Trainer::write_checkpoint(const std::filesystem::path& path) const {
  const Named all = checkpointed(model_, *optimiser_);
  std::vector<StoredTensor> stored;
  for (const auto& [name, tensor] : all) {
    const auto* first = static_cast<const std::byte*>(tensor.data_ptr());
    stored.push_back({.name = name,
                      .dtype = dtype_of(tensor),
                      .shape = tensor.sizes().vec(),
                      .bytes = {first, static_cast<std::size_t>(tensor.nbytes())}});
  }
  write_safetensors(path, stored, {{"step", fmt::format("{}", step_)}, {"loss", fmt::format("{}", loss_)}});
}

void Trainer::read_checkpoint(const std::filesystem::path& path) {
  const Safetensors file(path);
  const auto step = number_of<std::int64_t>(file, "step");
  const auto loss = number_of<double>(file, "loss");
  if (!step || *step < 0 || *step > steps_ || !loss) {
    throw Error("{} is no checkpoint of this run: it is of no step from 0 to {}", path.string(), steps_);
  }
  const Named all = checkpointed(model_, *optimiser_);
  for (const auto& [name, tensor] : all) {
    const StoredTensor* stored = file.find(name);
    const bool fits = stored != nullptr && stored->dtype == dtype_of(tensor) && stored->shape == tensor.sizes().vec();
    if (!fits) {
      throw Error("{} is no checkpoint of this run: its tensor {} is missing or different", path.string(), name);
    }
  }
  for (const auto& [name, tensor] : all) {
    std::memcpy(tensor.data_ptr(), file.find(name)->bytes.data(), static_cast<std::size_t>(tensor.nbytes()));
  }
  step_ = *step;
  loss_ = *loss;
}

}  // namespace polariscope::train
