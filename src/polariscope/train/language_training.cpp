#include "polariscope/train/language_training.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/models/language/sigma_reparam.h"
#include "polariscope/train/mitigations.h"
#include "polariscope/train/probes.h"
#include "polariscope/train/stored_parameters.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

namespace polariscope::train {
namespace {

constexpr std::int64_t kProbe = 48;  // tokens
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

template <class Visit>
void for_each_number(std::vector<LayerRecord>& layers, const Visit& visit) {
  for (LayerRecord& layer : layers) {
    for (const auto& [name, member] : kLayerNumbers) {
      for (double& number : layer.*member) visit(number);
    }
  }
}

// Adds a share of the records of a batch's part.
void add(const std::vector<LayerRecord>& part, double share, std::vector<LayerRecord>& mean) {
  mean.resize(part.size());
  for (std::size_t l = 0; l < part.size(); ++l) {
    for (const auto& [name, member] : kLayerNumbers) {
      std::vector<double>& to = mean[l].*member;
      const std::vector<double>& from = part[l].*member;
      to.resize(from.size());
      for (std::size_t h = 0; h < from.size(); ++h) to[h] += share * from[h];
    }
  }
}

std::vector<std::string> statistics_of(const LanguageOptions& options) {
  std::vector<std::string> names = monitored_statistics();
  if (options.qk_clip > 0.0) names.emplace_back("logit_maximum");
  return names;
}

// Keeps the larger of what is there and what has come.
void raise(std::vector<std::vector<double>>& scores, std::int64_t layer, const std::vector<double>& heads) {
  const auto l = static_cast<std::size_t>(layer);
  if (scores.size() <= l) scores.resize(l + 1);
  std::vector<double>& there = scores[l];
  if (there.empty()) there = heads;
  for (std::size_t h = 0; h < heads.size(); ++h) there[h] = std::max(there[h], heads[h]);
}

double number_of(const Safetensors& checkpoint, const std::string& name) {
  const std::string word = word_of(checkpoint, name);
  double number = kNone;
  if (std::from_chars(word.data(), word.data() + word.size(), number).ec != std::errc()) {
    throw Error("it has no {}", name);
  }
  return number;
}

}  // namespace

LanguageTraining::LanguageTraining(const LanguageOptions& options)
    : options_(options),
      model_(make_language_model(options, LanguageText(options.data).vocabulary())),
      batches_(options.data, context_of(options, model_->shape().longest), options.seed),
      optimiser_(make_optimiser(options, model_->parameters())),
      loss_(kNone),
      validation_loss_(kNone) {
  if (options.qk_clip > 0.0) require_clippable(*model_);
  batches_.text().verify();
}

void LanguageTraining::share(std::shared_ptr<Ranks> ranks) {
  require_shared(options_, ranks->size());
  ranks_ = std::move(ranks);
  buckets_.emplace(model_->parameters(), *ranks_);
}

LanguageTraining::~LanguageTraining() {
  if (ranks_ == nullptr || ranks_->rank() != 0) return;
  try {
    told({.task = Task::kEnd});
  } catch (const Error&) {  // they are gone
  }
}

LanguageTraining::Command LanguageTraining::told(const Command& command) {
  std::array<double, 3> words{static_cast<double>(command.task), static_cast<double>(command.batch), command.rate};
  ranks_->broadcast(at::from_blob(words.data(), {std::ssize(words)}, at::kDouble));
  return {.task = static_cast<Task>(words[0]), .batch = static_cast<std::int64_t>(words[1]), .rate = words[2]};
}

LanguageTraining::Command LanguageTraining::next_step() const {
  return {.task = Task::kStep, .batch = course_.batch(step_ + 1), .rate = course_.rate(step_ + 1)};
}

void LanguageTraining::start_together() {
  together_ = true;
  at::Tensor step = at::full({1}, step_, at::kLong);
  ranks_->broadcast(step);
  step_ = step.item<std::int64_t>();
  ranks_->broadcast(model_->parameters().values());
  if (options_.sigma_reparam) ranks_->broadcast(model_->parameters().untrained());
  for (const auto& [name, tensor] : optimiser_->state()) ranks_->broadcast(tensor);
}

void LanguageTraining::follow() {
  while (true) {
    const Command command = told({});
    if (command.task == Task::kEnd) return;
    if (command.task == Task::kStart) {
      start_together();
      continue;
    }
    StepNumbers numbers{.step = step_ + 1, .heads = {}};
    take_step(command, numbers);
  }
}

runs::MapShape LanguageTraining::maps() const {
  const models::ModelShape& model = model_->shape();
  return runs::map_shape(static_cast<int>(model.layers), static_cast<int>(model.heads),
                         static_cast<int>(batches_.context()), model.causal);
}

StepNumbers LanguageTraining::advance() {
  StepNumbers numbers{.step = step_ + 1, .heads = {}};
  const Command step = next_step();
  if (ranks_ != nullptr) {
    if (!together_) {
      told({.task = Task::kStart});
      start_together();
    }
    told(step);
  }
  take_step(step, numbers);
  const bool due = step_ % options_.validation_every == 0 || step_ == options_.steps;
  if (validation_log_ && step_ == numbers.step && due) log_validation(step_);
  return numbers;
}

void LanguageTraining::take_step(const Command& step, StepNumbers& numbers) {
  const std::int64_t ranks = ranks_ == nullptr ? 1 : ranks_->size(), rank = ranks_ == nullptr ? 0 : ranks_->rank();
  const std::int64_t part_size = options_.batch / options_.accumulation, each = part_size / ranks;
  const double share = 1.0 / static_cast<double>(options_.accumulation * ranks);
  std::vector<LayerRecord> layers;
  std::vector<std::vector<double>> scores;  // the largest of each head, [layers][heads], where they are clipped
  model_->parameters().clear_gradients();
  for (std::int64_t part = 0; part < options_.accumulation; ++part) {
    const LanguageBatch batch = batches_.training(step.batch * options_.batch + part * part_size + rank * each, each);
    std::vector<LayerRecord> seen;
    at::Tensor shortfall;
    const models::language::HeadLoss loss =
        model_->loss(batch.tokens, batch.targets, options_.z_loss,
                     {.statistics = statistics_of(options_), .see = [&](const models::LayerAttention& layer) {
                        seen.push_back(layer_record(layer.statistics));
                        if (options_.qk_clip > 0.0)
                          raise(scores, layer.layer, largest_scores(layer.statistics.logit_maximum));
                        if (options_.entropy_floor == 0.0) return;
                        const at::Tensor one =
                            entropy_shortfall(layer.statistics.entropy, options_.entropy_floor, layer.options.window);
                        shortfall = shortfall.defined() ? shortfall + one : one;
                      }});
    at::Tensor due = loss.loss;
    if (shortfall.defined()) due = due + shortfall * (options_.entropy_weight / static_cast<double>(seen.size()));
    if (buckets_ && part + 1 == options_.accumulation) buckets_->begin();
    (share == 1.0 ? due : due * share).backward();
    numbers.loss += share * loss.cross_entropy;
    add(seen, share, layers);
  }
  if (ranks_ != nullptr) sum_over_ranks(numbers, layers, scores);
  numbers.heads = head_numbers(layers);
  at::Tensor gradients = model_->parameters().gradients();
  numbers.gradient_norm = gradient_norm(gradients);
  numbers.update_norm = kNone;
  if (!std::isfinite(numbers.loss) || !std::isfinite(numbers.gradient_norm)) return;
  if (options_.clip > 0.0 && numbers.gradient_norm > options_.clip) {
    gradients.mul_(options_.clip / numbers.gradient_norm);
  }
  optimiser_->set_learning_rate(learning_rate_at(options_, numbers.step) * step.rate);
  numbers.update_norm = optimiser_->step(model_->parameters().values(), gradients);
  if (options_.qk_clip > 0.0) clip_scores(*model_, scores, options_.qk_clip);
  if (options_.sigma_reparam) {
    models::language::iterate_singular_vectors(model_->parameters(), 1);
    // Processors that round in different ways would drift apart.
    if (ranks_ != nullptr) ranks_->broadcast(model_->parameters().untrained());
  }
  step_ = numbers.step;
  loss_ = numbers.loss;
}

// Loss and every head's numbers in one message.
void LanguageTraining::sum_over_ranks(StepNumbers& numbers, std::vector<LayerRecord>& layers,
                                      std::vector<std::vector<double>>& scores) {
  std::vector<at::Tensor> largest;
  for (std::vector<double>& heads : scores) {
    largest.push_back(at::from_blob(heads.data(), {static_cast<std::int64_t>(heads.size())}, at::kDouble));
    ranks_->start_maximum(largest.back());
  }
  std::vector<double> packed{numbers.loss};
  for_each_number(layers, [&](double& number) { packed.push_back(number); });
  at::Tensor sums = at::empty({static_cast<std::int64_t>(packed.size())}, at::kDouble);
  std::copy(packed.begin(), packed.end(), sums.data_ptr<double>());
  ranks_->start_sum(sums);
  buckets_->end();
  const double* sum = sums.data_ptr<double>();
  numbers.loss = *sum++;
  for_each_number(layers, [&](double& number) { number = *sum++; });
}

Checkpoint LanguageTraining::checkpoint() const {
  const nlohmann::ordered_json& config = model_->blueprint().config;
  Checkpoint checkpoint{.tensors = {},
                        .metadata = {{"loss", fmt::format("{}", loss_)},
                                     {"validation_loss", fmt::format("{}", validation_loss_)},
                                     {"tokens", batches_.text().fingerprint()},
                                     {"tokenizer", batches_.text().is_bytes() ? "bytes" : ""},
                                     {"model", config.is_null() ? "" : config.dump()}}};
  store(*model_, *optimiser_, checkpoint);
  return checkpoint;
}

void LanguageTraining::restore(const Safetensors& checkpoint, std::int64_t step) {
  if (const std::string tokens = word_of(checkpoint, "tokens"); tokens != batches_.text().fingerprint()) {
    throw Error("it was trained on tokens of fingerprint {}, {} holds others, of {}", tokens, options_.data,
                batches_.text().fingerprint());
  }
  loss_ = number_of(checkpoint, "loss");
  validation_loss_ = number_of(checkpoint, "validation_loss");
  restore_from(checkpoint, *model_, *optimiser_);
  step_ = step;
  together_ = false;
}

double LanguageTraining::validation_loss() const {
  const at::NoGradGuard guard;
  const LanguageBatch all = batches_.validation(options_.validation_sequences);
  const std::int64_t count = all.tokens.size(0),
                     each = std::max<std::int64_t>(options_.batch / options_.accumulation, 1);
  double sum = 0.0;
  for (std::int64_t first = 0; first < count; first += each) {
    const std::int64_t some = std::min(each, count - first);
    sum += static_cast<double>(some) *
           model_->loss(all.tokens.narrow(0, first, some), all.targets.narrow(0, first, some)).cross_entropy;
  }
  return sum / static_cast<double>(count);
}

void LanguageTraining::log_validation(std::int64_t step) {
  validation_loss_ = validation_loss();
  const std::array<runs::NamedNumber, 1> loss{{{"loss", validation_loss_}}};
  validation_log_->write(step, loss);
  const std::int64_t length = std::min(kProbe, batches_.context());
  const at::Tensor stretch = batches_.validation(1).tokens.narrow(1, 0, length).contiguous();
  const auto text_of = [&](std::int64_t token) { return batches_.text().text_of(token); };
  write_file(probes_ / "latest.json", probe_json(*model_, stretch, text_of, step));
}

void LanguageTraining::open_logs(const std::filesystem::path& folder) {
  validation_log_.emplace(folder / "validation.jsonl", step_ > 0 ? step_ : -1);
  began_ = std::chrono::steady_clock::now();
  first_step_ = step_;
  probes_ = folder / "probes";
  make_folder(probes_);
  if (step_ == 0) log_validation(0);
}

void LanguageTraining::flush_logs() {
  if (validation_log_) validation_log_->flush();
}

std::string LanguageTraining::finish(const std::filesystem::path&, nlohmann::ordered_json& result) {
  if (!result.at("diverged").get<bool>()) {  // else a sweep would count it as failed; who diverges is a result here
    if (!validation_log_ || step_ % options_.validation_every != 0) validation_loss_ = validation_loss();
    result["training_loss"] = loss_;
    result["validation_loss"] = validation_loss_;
  }
  result["parameters"] = model_->parameters().values().numel();
  result["tokens"] = step_ * options_.batch * batches_.context();
  result["epochs"] = static_cast<double>(step_ * options_.batch * batches_.context()) /
                     static_cast<double>(batches_.training_tokens());
  return fmt::format("validation loss {:.4g}", validation_loss_);
}

// Entropies as bars, layer by layer, the highest for uniform rows.
std::string LanguageTraining::note(const StepNumbers& numbers) const {
  constexpr std::array kBars{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  const runs::MapShape shape = maps();
  const std::vector<double>& entropy = numbers.heads.front().values;
  std::string strip;
  for (int layer = 0; layer < shape.layers; ++layer) {
    double mean = 0.0;
    for (int head = 0; head < shape.heads; ++head) mean += entropy.at(layer * shape.heads + head) / shape.heads;
    const double share = std::isfinite(mean) ? std::clamp(mean / shape.uniform_entropy, 0.0, 1.0) : 0.0;
    strip += kBars.at(static_cast<std::size_t>(std::lround(7.0 * share)));
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
  const auto tokens = static_cast<double>((numbers.step - first_step_) * options_.batch * batches_.context());
  return fmt::format("loss {:.3g}  H {}  {:.0f} tokens/s", numbers.loss, strip, tokens / std::max(seconds, 1e-9));
}

}  // namespace polariscope::train
