// Training a language model: batches, schedule, validation, and going on from a checkpoint.
#include "polariscope/train/language_training.h"

#include "checkpoint_file.h"
#include "polariscope/attention/torch/plain_operators.h"
#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/tasks/text/token_shard_writer.h"
#include "polariscope/train/language_plan.h"
#include "polariscope/train/memory_meter.h"
#include "polariscope/train/mitigations.h"
#include "support/complaint.h"
#include "support/temporary_folder.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace polariscope::train {
namespace {

namespace fs = std::filesystem;
using testing::TemporaryFolder;

constexpr const char* kTiny = R"({"model_type": "llama", "vocab_size": 256, "hidden_size": 32, "intermediate_size": 48,
  "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 64, "rms_norm_eps": 1e-5})";

class Language : public ::testing::Test {
 protected:
  void SetUp() override { write_file(config(), kTiny); }

  std::string config() const { return (folder_.path() / "tiny.json").string(); }
  LanguageOptions tiny() const {
    return {.data = "example", .model = config(), .context = 24, .steps = 20, .batch = 4, .validation_sequences = 4};
  }

  TemporaryFolder folder_;
};

runs::Settings settings(std::vector<std::pair<std::string, ConfigValue>> given) {
  runs::NamedValues values{{"task", "language-model"}};
  for (auto& [name, value] : given) values.push_back({name, value});
  return runs::Settings(values);
}

TEST_F(Language, LowersTheLossAndRecordsEveryHead) {
  LanguageOptions options = tiny();
  options.steps = 60;
  options.learning_rate = 1e-2;
  LanguageTraining training(options);
  const StepNumbers first = training.advance();
  EXPECT_NEAR(first.loss, std::log(256.0), 0.1);
  StepNumbers last = first;
  for (int i = 1; i < 60; ++i) last = training.advance();
  EXPECT_LT(last.loss, 0.7 * first.loss);
  std::set<std::string> names;
  for (const HeadNumbers& heads : last.heads) {
    EXPECT_EQ(heads.values.size(), 4U);
    names.emplace(heads.name);
  }
  EXPECT_TRUE(names.contains("entropy") && names.contains("frobenius_norm") && names.contains("logit_variance"));
}

TEST_F(Language, TheSameInOneBatchAsInParts) {
  LanguageOptions parts = tiny();
  parts.accumulation = 4;
  LanguageTraining whole(tiny()), divided(parts);
  for (int i = 0; i < 5; ++i) {
    const StepNumbers one = whole.advance(), other = divided.advance();
    EXPECT_NEAR(one.loss, other.loss, 1e-5);
    EXPECT_NEAR(one.gradient_norm, other.gradient_norm, 1e-4 * one.gradient_norm);
    for (std::size_t h = 0; h < one.heads.size(); ++h) {
      for (std::size_t n = 0; n < one.heads[h].values.size(); ++n) {
        EXPECT_NEAR(one.heads[h].values[n], other.heads[h].values[n], 1e-4 * (1.0 + std::abs(one.heads[h].values[n])));
      }
    }
  }
}

TEST_F(Language, GoesOnFromItsCheckpointWithTheSameBits) {
  LanguageTraining once(tiny()), again(tiny());
  for (int i = 0; i < 7; ++i) once.advance();
  const fs::path kept = folder_.path() / "kept.safetensors";
  testing::write_checkpoint(once, kept);
  testing::read_checkpoint(again, kept, 7);
  for (int i = 7; i < 12; ++i) {
    const StepNumbers one = once.advance(), other = again.advance();
    EXPECT_EQ(one.loss, other.loss);
    EXPECT_EQ(one.update_norm, other.update_norm);
  }
  EXPECT_TRUE(once.model().parameters().values().equal(again.model().parameters().values()));
}

TEST_F(Language, RefusesACheckpointOfOtherTokensAndOfAnotherModel) {
  LanguageTraining training(tiny());
  Checkpoint checkpoint = training.checkpoint();
  const fs::path kept = folder_.path() / "kept.safetensors";
  auto words = checkpoint.metadata;
  words["tokens"] = "0123456789abcdef";
  write_safetensors(kept, checkpoint.tensors, words);
  const std::string complaint = testing::complaint_of([&] { training.restore(Safetensors(kept), 0); });
  EXPECT_NE(complaint.find("trained on tokens of fingerprint 0123456789abcdef"), std::string::npos) << complaint;
  write_safetensors(kept, checkpoint.tensors, checkpoint.metadata);
  LanguageOptions other = tiny();
  other.qk_norm = "layer";
  LanguageTraining another(other);
  EXPECT_THROW(another.restore(Safetensors(kept), 0), Error);
}

TEST_F(Language, EveryTokenOnceAnEpochAndValidationApart) {
  LanguageBatches batches("example", 50, 3);
  const std::int64_t stretches = (batches.training_tokens() - 1) / 50 - 1;
  const LanguageBatch epoch = batches.training(0, stretches), next = batches.training(stretches, stretches);
  std::multiset<std::int64_t> places;
  std::map<std::vector<std::int64_t>, int> seen;
  for (std::int64_t s = 0; s < stretches; ++s) {
    const auto* first = epoch.tokens.data_ptr<std::int64_t>() + s * 50;
    ++seen[{first, first + 50}];
  }
  std::int64_t repeated = 0;
  for (const auto& [tokens, count] : seen) repeated += count - 1;
  EXPECT_LT(repeated, stretches / 100);  // but for what stands in the pages more than once
  EXPECT_FALSE(epoch.tokens.equal(next.tokens));
  EXPECT_TRUE(epoch.tokens.narrow(1, 1, 49).equal(epoch.targets.narrow(1, 0, 49)));
  const LanguageBatch validation = batches.validation(8);
  EXPECT_EQ(validation.tokens.size(0), 8);
  EXPECT_GE(batches.validation_stretches(), 8);
}

TEST(Schedule, RisesAndFalls) {
  LanguageOptions options{.learning_rate = 2.0, .final_rate = 0.1, .warmup = 4, .steps = 13};
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 1), 0.5);
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 4), 2.0);
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 5), 2.0);
  EXPECT_NEAR(learning_rate_at(options, 9), 1.1, 1e-12);
  EXPECT_NEAR(learning_rate_at(options, 13), 0.2, 1e-12);
  options.schedule = "linear";
  EXPECT_NEAR(learning_rate_at(options, 7), 2.0 * (0.1 + 0.9 * 0.75), 1e-12);
  options.schedule = "constant";
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 13), 2.0);
  options = {.learning_rate = 1.0, .steps = 1};
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 1), 1.0);
}

TEST_F(Language, AStepThatIsNotFiniteLeavesTheParameters) {
  LanguageOptions options = tiny();
  options.optimiser = "sgd";
  options.learning_rate = 1e30;
  options.clip = 0.0;
  LanguageTraining training(options);
  training.advance();
  const at::Tensor before = training.model().parameters().values().clone();
  const StepNumbers numbers = training.advance();
  EXPECT_FALSE(std::isfinite(numbers.loss) && std::isfinite(numbers.gradient_norm));
  EXPECT_EQ(numbers.step, 2);
  EXPECT_TRUE(before.equal(training.model().parameters().values()));
  // Its result has no losses, which as null a sweep would count as a failure; another's has both.
  nlohmann::ordered_json diverged{{"diverged", true}}, whole{{"diverged", false}};
  training.finish(folder_.path(), diverged);
  EXPECT_FALSE(diverged.contains("training_loss") || diverged.contains("validation_loss")) << diverged;
  LanguageTraining another(tiny());
  const double loss = another.advance().loss;
  another.finish(folder_.path(), whole);
  EXPECT_EQ(whole.at("training_loss"), loss);
  EXPECT_TRUE(std::isfinite(whole.at("validation_loss").get<double>())) << whole;
}

TEST_F(Language, RefusesOptionsThatMakeNoSense) {
  EXPECT_THROW(LanguageTraining(language_options(settings({}))), Error);  // without data
  EXPECT_THROW(language_options(settings({{"data", "example"}, {"qk_norm", "l2"}})), Error);
  EXPECT_THROW(language_options(settings({{"data", "example"}, {"soft_cap", 30.0}, {"attention", "sigmoid"}})), Error);
  EXPECT_THROW(language_options(settings({{"data", "example"}, {"sigma_reparam", true}, {"qk_clip", 3.0}})), Error);
  EXPECT_THROW(language_options(settings({{"data", "example"}, {"accumulation", std::int64_t{3}}})), Error);
  EXPECT_THROW(language_options(settings({{"data", "example"}, {"warmup", std::int64_t{1000}}})), Error);
  LanguageOptions options = tiny();
  options.data = (folder_.path() / "nothing").string();
  EXPECT_THROW(LanguageTraining{options}, Error);
  options = tiny();
  options.model = "llama-2b";
  EXPECT_THROW(LanguageTraining{options}, Error);
  options = tiny();
  options.context = 100'000;
  EXPECT_THROW(LanguageTraining{options}, Error);  // longer than the text has room for
  options = tiny();
  options.attention = "mlp";
  EXPECT_THROW(LanguageTraining{options}, Error);
}

// The numbers of a training under the options, step by step.
std::vector<double> numbers_of(LanguageTraining& training, int steps) {
  std::vector<double> numbers;
  for (int i = 0; i < steps; ++i) {
    const StepNumbers step = training.advance();
    numbers.insert(numbers.end(), {step.loss, step.gradient_norm, step.update_norm});
    for (const HeadNumbers& heads : step.heads) numbers.insert(numbers.end(), heads.values.begin(), heads.values.end());
  }
  return numbers;
}

// What keeps softmax from collapsing, and is kept with the parameters: the same bits after a checkpoint.
TEST_F(Language, GoesOnWithAGateAndWithSigmaReparamWithTheSameBits) {
  for (const bool gate : {true, false}) {
    LanguageOptions options = tiny();
    options.output_gate = gate;
    options.sigma_reparam = !gate;
    options.learning_rate = 1e-2;
    LanguageTraining once(options), again(options);
    const std::vector<double> before = numbers_of(once, 7);
    EXPECT_LT(before[before.size() / 7 * 6], before[0]);  // the loss
    const fs::path kept = folder_.path() / "kept.safetensors";
    testing::write_checkpoint(once, kept);
    testing::read_checkpoint(again, kept, 7);
    EXPECT_EQ(numbers_of(once, 5), numbers_of(again, 5));
    EXPECT_TRUE(once.model().parameters().untrained().equal(again.model().parameters().untrained()));
  }
}

TEST_F(Language, ShowsTheTextOfTokensWhereTheShardsBringIt) {
  std::vector<std::int32_t> tokens(2000);
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<std::int32_t>(i % 7);
  const auto probe_of = [&](const std::string& name, const std::vector<std::string>& texts) {
    LanguageOptions options = tiny();
    options.data = (folder_.path() / name).string();
    tasks::text::TokenShardWriter writer(options.data, 7, 1000);
    writer.append(tokens);
    tasks::text::TokenIndex index;
    index.tokenizer = "seven words";
    writer.finish(index, texts);
    LanguageTraining training(options);
    make_folder(folder_.path() / (name + "-run"));
    training.open_logs(folder_.path() / (name + "-run"));
    const auto probe = nlohmann::json::parse(read_file(folder_.path() / (name + "-run") / "probes" / "latest.json"));
    const nlohmann::json& shown = probe.at("sentences").at(0).at("tokens");
    EXPECT_EQ(shown.size(), 24U);
    return std::set<std::string>(shown.begin(), shown.end());
  };
  EXPECT_EQ(probe_of("named", {"zero", " one", "two", "three", "", "five", "six"}),
            (std::set<std::string>{"zero", " one", "two", "three", "4", "five", "six"}));
  EXPECT_EQ(probe_of("plain", {}), (std::set<std::string>{"0", "1", "2", "3", "4", "5", "6"}));
}

// As on another device, but for the device.
TEST_F(Language, InPlainOperatorsTakesTheSameSteps) {
  LanguageOptions options = tiny();
  options.qk_clip = 0.05;
  options.entropy_floor = 0.9;
  LanguageTraining kernels(options);
  const std::vector<double> expected = numbers_of(kernels, 4);
  const attention::PlainOperators all;
  LanguageTraining plain(options);
  const std::vector<double> found = numbers_of(plain, 4);
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    EXPECT_NEAR(found[i], expected[i], 2e-4 * (1.0 + std::abs(expected[i])));
}

TEST_F(Language, IsPlannedWithoutBeingMade) {
  const runs::Settings given = settings({{"data", "example"},
                                         {"model", "llama-3m"},
                                         {"context", std::int64_t{64}},
                                         {"batch", std::int64_t{8}},
                                         {"accumulation", std::int64_t{2}},
                                         {"steps", std::int64_t{100}}});
  const LanguagePlan plan = plan_language(given);
  const LanguageTraining made(language_options(given));
  EXPECT_EQ(plan.parameters, made.model().parameters().values().numel());
  EXPECT_DOUBLE_EQ(plan.tokens(), 100.0 * 8 * 64);
  EXPECT_EQ(plan.vocabulary, 256);
  EXPECT_DOUBLE_EQ(plan.memory(2).moments, 8.0 * static_cast<double>(plan.parameters));
  // What a pass of the whole model over a part of the batch really holds at once.
  LanguageBatches batches("example", 64, 0);
  const LanguageBatch part = batches.training(0, 4);
  const MemoryMeter meter;
  made.model()
      .loss(part.tokens, part.targets, 0.0,
            {.statistics = monitored_statistics(), .see = [](const auto& layer) { layer_record(layer.statistics); }})
      .loss.backward();
  const MemoryPlan memory = plan.memory(2);
  const auto held = static_cast<double>(meter.most());
  EXPECT_NEAR(memory.activations + memory.logits, held, 0.15 * held);
  EXPECT_GT(plan.seconds_of_step(), 0.0);
}

TEST(LanguagePlan, MultipliesWhatWasMeasured) {
  LanguagePlan plan{.optimiser = "adamw",
                    .parameters = 1000,
                    .layers = 10,
                    .context = 64,
                    .batch = 32,
                    .accumulation = 4,
                    .steps = 50,
                    .vocabulary = 100,
                    .embedding_width = 8,
                    .layer_parameters = 80,
                    .attended = 20,
                    .logit_rows = 128,
                    .measured_sequences = 2,
                    .one_layer = {.pass = 0.5, .update = 0.25, .bytes = 1e6},
                    .two_layers = {.pass = 0.75, .update = 0.375, .bytes = 1.5e6}};
  EXPECT_DOUBLE_EQ(plan.seconds_of_step(),
                   16 * 0.75 * (10 * (80.0 + 20) + 800) / (2 * (80.0 + 20) + 800) + 0.375 * 1000 / (1000.0 - 8 * 80));
  const MemoryPlan memory = plan.memory(4);
  EXPECT_DOUBLE_EQ(memory.weights, 4000.0);
  EXPECT_DOUBLE_EQ(memory.logits, 4.0 * 128 * 100);
  const double head = 4.0 * 100 * 8, rest = 1e6 - 0.5e6 - head - memory.logits;
  EXPECT_DOUBLE_EQ(memory.activations, 4 * (10 * 0.5e6 + rest) + head);
  const std::string words = in_words(plan, 1e12, 2);
  EXPECT_NE(words.find("1000 (1000)"), std::string::npos) << words;
  EXPECT_NE(words.find("what 10 layers and the head multiply"), std::string::npos) << words;
  EXPECT_NE(in_words(plan, 5e6, 2).find("accumulation of"), std::string::npos);
}

double lowest_entropy(LanguageTraining& training, int steps) {
  double lowest = 1e9;
  for (int i = 0; i < steps; ++i) {
    const StepNumbers numbers = training.advance();
    for (const double entropy : numbers.heads.front().values) lowest = std::min(lowest, entropy);
  }
  return lowest;
}

// At a rate at which softmax loses most of its entropy.
TEST_F(Language, AFloorHoldsEntropyUp) {
  LanguageOptions options = tiny();
  options.learning_rate = 0.05;
  options.steps = 60;
  LanguageOptions floored = options;
  floored.entropy_floor = 0.8;
  floored.entropy_weight = 20.0;
  LanguageTraining free(options), held(floored);
  const double uniform = held.maps().uniform_entropy, without = lowest_entropy(free, 60),
               with = lowest_entropy(held, 60);
  EXPECT_LT(without, 0.5 * uniform);
  EXPECT_GT(with, 0.6 * uniform);
}

TEST(EntropyShortfall, IsTheMeanSquareOfWhatRowsLack) {
  const at::Tensor entropy = at::tensor({0.0, 0.1, 1.0, 0.2, 0.6, 0.3}, at::kDouble).view({1, 2, 3});
  double expected = 0.0;
  const double rows[] = {0.0, 0.1, 1.0, 0.2, 0.6, 0.3};
  for (int r = 0; r < 6; ++r) {
    const double lack = std::max(0.0, 0.5 * std::log(1.0 + r % 3) - rows[r]);
    expected += lack * lack / 6.0;
  }
  EXPECT_NEAR(entropy_shortfall(entropy, 0.5).item<double>(), expected, 1e-15);
  double in_window = 0.0;  // of two keys
  for (int r = 0; r < 6; ++r) {
    const double lack = std::max(0.0, 0.5 * std::log(std::min(2.0, 1.0 + r % 3)) - rows[r]);
    in_window += lack * lack / 6.0;
  }
  EXPECT_NEAR(entropy_shortfall(entropy, 0.5, 2).item<double>(), in_window, 1e-15);
}

double largest_score(LanguageTraining& training, const LanguageOptions& options) {
  double largest = -1e9;
  const LanguageBatch batch = LanguageBatches(options.data, options.context, options.seed).validation(4);
  training.model().forward(batch.tokens,
                           {.statistics = {"logit_maximum"}, .see = [&](const models::LayerAttention& layer) {
                              for (const double head : largest_scores(layer.statistics.logit_maximum)) {
                                largest = std::max(largest, head);
                              }
                            }});
  return largest;
}

TEST_F(Language, QkClipHoldsScoresNearItsLimit) {
  LanguageOptions options = tiny();
  options.learning_rate = 0.05;
  options.steps = 40;
  LanguageOptions clipped = options;
  clipped.qk_clip = 3.0;
  LanguageTraining free(options), held(clipped);
  for (int i = 0; i < 40; ++i) {
    free.advance();
    held.advance();
  }
  EXPECT_GT(largest_score(free, options), 12.0);
  EXPECT_LT(largest_score(held, clipped), 6.0);
  options.qk_clip = 3.0;
  options.attention = "elu1_kernel/sum";
  EXPECT_THROW(LanguageTraining{options}, Error);
  options.attention = "softmax";
  options.qk_norm = "rms";
  EXPECT_THROW(LanguageTraining{options}, Error);
}

TEST_F(Language, QkClipScalesTheHeadsAboveItAndNoOthers) {
  LanguageOptions options = tiny();
  LanguageTraining training(options);
  const auto before = training.model().parameters().named_values();
  std::vector<at::Tensor> copies;
  for (const auto& [name, values] : before) copies.push_back(values.clone());
  auto& model = const_cast<models::language::LanguageModel&>(training.model());
  clip_scores(model, {{12.0, -5.0}, {3.0, std::nan("")}}, 3.0);
  for (std::size_t i = 0; i < copies.size(); ++i) {
    const auto& [name, values] = before[i];
    const bool of_first = name == "layer.0.attention.query" || name == "layer.0.attention.key";
    if (!of_first) {
      EXPECT_TRUE(values.equal(copies[i])) << name;
      continue;
    }
    EXPECT_LT((values.narrow(0, 0, 16) - 0.5 * copies[i].narrow(0, 0, 16)).abs().max().item<double>(), 1e-9) << name;
    EXPECT_TRUE(values.narrow(0, 16, 16).equal(copies[i].narrow(0, 16, 16))) << name;
  }
}

TEST_F(Language, LearnsWithEveryAttentionAndMitigation) {
  for (const char* attention : {"relu_kernel/sum", "elu1_kernel/sum", "sigmoid", "softmax1", "sink", "entmax"}) {
    LanguageOptions options = tiny();
    options.attention = attention;
    LanguageTraining training(options);
    const double first = training.advance().loss;
    double last = first;
    for (int i = 1; i < 20; ++i) last = training.advance().loss;
    EXPECT_LT(last, first) << attention;
  }
}

}  // namespace
}  // namespace polariscope::train
