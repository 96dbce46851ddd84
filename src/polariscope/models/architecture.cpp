#include "polariscope/models/architecture.h"

#include "polariscope/base/error.h"
#include "polariscope/base/names.h"
#include "polariscope/models/transformer.h"

#include <array>
#include <vector>

namespace polariscope::models {
namespace {

constexpr std::array kArchitectures{
    // The polarisation paper's own (its appendix E), by the names of its code.
    Architecture{.name = "polarisation",
                 .names = {.tokens = "embedding",
                           .positions = "pos_embedding",
                           .layer = "layers.{}.",
                           .attention_norm = "norm1",
                           .query = "q_proj",
                           .key = "k_proj",
                           .value = "v_proj",
                           .attention_output = "o_proj",
                           .sink = "sink",
                           .map_in = "attn_mlp.0",
                           .map_out = "attn_mlp.2",
                           .mlp_norm = "norm2",
                           .mlp_in = "mlp.0",
                           .mlp_out = "mlp.2",
                           .final_norm = "final_norm",
                           .output = "output_proj"}},
};

}  // namespace

std::span<const Architecture> architectures() { return kArchitectures; }

const Architecture& find_architecture(std::string_view name) {
  std::vector<std::string_view> known;
  for (const Architecture& row : kArchitectures) {
    if (row.name == name) return row;
    known.push_back(row.name);
  }
  throw Error("{}", unknown_name("architecture", name, known));
}

std::unique_ptr<Model> make_model(const ModelOptions& options, at::ScalarType type, std::uint64_t seed) {
  return std::make_unique<Transformer>(options, type, seed);
}

}  // namespace polariscope::models
