// The reference models of POLARISCOPE_DATA: every tensor has its place, whichever way the config is written.
#include "polariscope/models/pretrained/parameter_names.h"
#include "support/complaint.h"
#include "tiny_checkpoint.h"

#include <gtest/gtest.h>

namespace polariscope::models {
namespace {

using namespace polariscope::testing;

std::vector<std::filesystem::path> models_with(const std::string& file) {
  std::vector<std::filesystem::path> found;
  const auto folder = data_folder("architectures");
  if (folder.empty()) return found;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (std::filesystem::exists(entry.path() / file)) found.push_back(entry.path());
  }
  return found;
}

// Reads everything, so that weights of a wrong place would be out of bounds or of another size.
void expect_readable(const PretrainedModel& model) {
  for (const auto& [name, shape] : parameter_shapes(model.description())) {
    if (!model.has(name)) {
      EXPECT_FALSE(shape.needed) << name;
      continue;
    }
    const std::vector<float> numbers = model.read(name);
    if (const auto stored = model.stored(name)) {
      EXPECT_EQ(stored->rows * stored->columns, static_cast<std::int64_t>(numbers.size())) << name;
    }
  }
}

TEST(ReferenceModels, HaveAPlaceForEveryTensor) {
  auto folders = models_with("model.safetensors");
  if (folders.empty()) GTEST_SKIP() << "architectures is not in POLARISCOPE_DATA";
  for (const auto& folder : folders) {
    SCOPED_TRACE(folder.filename().string());
    EXPECT_EQ(complaint_of([&] { expect_readable(open_model(folder)); }), "");
  }
}

TEST(ReferenceModels, InGgufHaveAPlaceForEveryTensor) {
  auto folders = models_with("model.gguf");
  if (folders.empty()) GTEST_SKIP() << "architectures is not in POLARISCOPE_DATA";
  for (const auto& folder : folders) {
    SCOPED_TRACE(folder.filename().string());
    EXPECT_EQ(complaint_of([&] { expect_readable(open_model(folder / "model.gguf")); }), "");
  }
}

TEST(ReferenceModels, AreDescribedAlikeByOldConfigsAndNew) {
  auto folders = models_with("config_legacy.json");
  if (folders.empty()) GTEST_SKIP() << "architectures is not in POLARISCOPE_DATA";
  for (const auto& folder : folders) {
    SCOPED_TRACE(folder.filename().string());
    const TemporaryFolder old;
    std::filesystem::copy_file(folder / "config_legacy.json", old.path() / "config.json");
    std::filesystem::copy_file(folder / "model.safetensors", old.path() / "model.safetensors");
    const auto compare = [&] {
      const PretrainedModel by_new = open_model(folder), by_old = open_model(old.path());
      EXPECT_TRUE(by_new.description() == by_old.description());
      EXPECT_TRUE(by_new.sources() == by_old.sources());
    };
    EXPECT_EQ(complaint_of(compare), "");
  }
}

TEST(ReferenceModels, OfGpt2InBothFormatsHaveTheSameDescription) {
  const auto gguf = data_folder("architectures/gguf_gpt2_f32"), plain = data_folder("architectures/gpt2");
  if (gguf.empty() || plain.empty()) GTEST_SKIP() << "architectures is not in POLARISCOPE_DATA";
  Description ours = open_model(gguf / "model.gguf").description();
  const Description theirs = open_model(plain).description();
  // GGUF stores epsilons in float32.
  EXPECT_NEAR(ours.final_norm->epsilon, theirs.final_norm->epsilon, 1e-12);
  ours.final_norm = theirs.final_norm;
  for (LayerDescription& layer : ours.layers) {
    layer.attention_norms.before = layer.feed_forward_norms.before = theirs.final_norm;
  }
  EXPECT_TRUE(ours == theirs);
}

// The file holds lm_head.weight alone, though the head is tied: it is the embedding.
TEST(ReferenceModels, WithTheHeadsNameForTheEmbeddingAreRead) {
  const auto folder = data_folder("models/tinystories-656k");
  if (folder.empty()) GTEST_SKIP() << "models/tinystories-656k is not in POLARISCOPE_DATA";
  const PretrainedModel model = open_model(folder);
  EXPECT_TRUE(model.description().tied_head);
  EXPECT_EQ(model.place(parameter::kEmbedding), "tensor \"lm_head.weight\"");
}

// GPT-2's fused projection has a bias; a copy that has lost it computes something else.
TEST(ReferenceModels, ThatLackABiasAreRefused) {
  const auto data = data_folder("models/gpt-nano-sort");
  if (data.empty()) GTEST_SKIP() << "models/gpt-nano-sort is not in POLARISCOPE_DATA";
  const TemporaryFolder folder;
  std::filesystem::copy_file(data / "model.safetensors", folder.path() / "model.safetensors");
  const nlohmann::json config = {
      {"model_type", "gpt2"}, {"vocab_size", 3},   {"n_embd", 48},       {"n_head", 3},
      {"n_layer", 3},         {"n_positions", 11}, {"n_inner", nullptr}, {"tie_word_embeddings", false}};
  write_file(folder.path() / "config.json", config.dump());
  const std::string complaint = complaint_of([&] { open_model(folder.path()); });
  EXPECT_NE(complaint.find("transformer.h.0.attn.c_attn.bias"), std::string::npos) << complaint;
}

}  // namespace
}  // namespace polariscope::models
