// docs/adding-an-architecture.md, followed: its row reads a checkpoint with the names and keys of transformers' Phi.
#include "examples/phi_row.h"

#include "support/complaint.h"
#include "tiny_checkpoint.h"

#include <gtest/gtest.h>

namespace polariscope::models {
namespace {

using namespace polariscope::testing;

nlohmann::json config() {
  return {{"model_type", "phi"},           {"vocab_size", 5},        {"hidden_size", 8},
          {"intermediate_size", 6},        {"num_hidden_layers", 1}, {"num_attention_heads", 2},
          {"max_position_embeddings", 16}, {"embd_pdrop", 0.1},      {"rope_theta", 500.0},
          {"partial_rotary_factor", 0.5},  {"rope_scaling", nullptr}};
}

TinyTensors tensors() {
  TinyTensors found = {{"model.embed_tokens.weight", counting({5, 8})}};
  const auto put = [&found](const std::string& name, std::vector<std::int64_t> shape) {
    found[name + ".bias"] = counting({shape.front()}, 100.0f);
    found[name + ".weight"] = counting(std::move(shape));
  };
  put("lm_head", {5, 8});
  put("model.final_layernorm", {8});
  put("model.layers.0.input_layernorm", {8});
  for (const std::string name : {"q_proj", "k_proj", "v_proj", "dense"})
    put("model.layers.0.self_attn." + name, {8, 8});
  put("model.layers.0.mlp.fc1", {6, 8});
  put("model.layers.0.mlp.fc2", {8, 6});
  return found;
}

TEST(PhiRow, ReadsItsCheckpoint) {
  const TemporaryFolder folder;
  write_tiny(folder.path(), config(), tensors());
  const PretrainedModel model(checkpoints::Checkpoint(folder.path().string()), rows::phi_row());
  const Description& description = model.description();
  EXPECT_EQ(description.architecture, "phi");
  EXPECT_TRUE(description.layers.front().parallel);
  EXPECT_EQ(description.rotary.front().width, 2);
  EXPECT_EQ(description.rotary.front().theta, 500.0);
  EXPECT_EQ(model.read("head.bias"), (std::vector<float>{100, 101, 102, 103, 104}));
  EXPECT_EQ(model.read("layer.0.feed_forward.up")[8], 8.0f);
}

TEST(PhiRow, RefusesWhatItDoesNotUnderstand) {
  const TemporaryFolder folder;
  nlohmann::json normed = config();
  normed["qk_layernorm"] = true;
  write_tiny(folder.path(), normed, tensors());
  const auto open = [&] { PretrainedModel(checkpoints::Checkpoint(folder.path().string()), rows::phi_row()); };
  EXPECT_NE(complaint_of(open).find("\"qk_layernorm\" is true: only false is understood"), std::string::npos);
}

}  // namespace
}  // namespace polariscope::models
