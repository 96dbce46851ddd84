// Mixtral: Mistral with a mixture of experts; the window holds in all layers.
#include "polariscope/models/pretrained/rows/all.h"
#include "polariscope/models/pretrained/rows/parts.h"

namespace polariscope::models::rows {
namespace {

Plan read_mixtral(const ConfigReader& config, const TensorsAtHand& tensors) {
  Plan plan = llama(config, tensors, {.theta = 1e6, .epsilon = 1e-5, .context = 131072, .key_heads = 8});
  const Experts experts{.count = config.size("num_local_experts", config.size("num_experts", 8)),
                        .chosen = config.size("num_experts_per_tok", 2)};
  const auto window = config.maybe_size("sliding_window");
  for (std::size_t n = 0; n < plan.description.layers.size(); ++n) {
    plan.description.layers[n].attention.window = window;
    put_experts(config, tensors, plan, static_cast<std::int64_t>(n), experts,
                {.router = "block_sparse_moe.gate",
                 .gate = "block_sparse_moe.experts.{}.w1",
                 .up = "block_sparse_moe.experts.{}.w3",
                 .down = "block_sparse_moe.experts.{}.w2"});
  }
  return plan;
}

}  // namespace

std::vector<PretrainedRow> mixtral_rows() {
  return {{.name = "mixtral",
           .read = read_mixtral,
           .prefix = "model.",
           .ignored_keys = {"output_router_logits", "router_aux_loss_coef", "router_jitter_noise"}}};
}

}  // namespace polariscope::models::rows
