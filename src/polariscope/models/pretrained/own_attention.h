// Attention that no published class has: that of models trained here. It stands in the config of such a model,
//   "polariscope": {"attention": "relu_kernel/sum", "qk_norm": "layer", "soft_cap": 30.0, "output_gate": true}
// beside a model_type that begins with "polariscope-", so that no other reader takes the model for the plain one.
#pragma once

#include "polariscope/models/pretrained/architecture_row.h"

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <string_view>

namespace polariscope::models {

inline constexpr std::string_view kOwnModelPrefix = "polariscope-", kOwnAttentionKey = "polariscope";

struct OwnAttention {
  std::string form = "softmax";  // a row of the table of attentions
  std::string qk_norm = "no";    // "layer" or "rms": every query and key by itself, before rotation
  double soft_cap = 0.0;         // of softmax's scores; 0: none
  bool output_gate = false;      // AttentionDescription::output_gate

  bool operator==(const OwnAttention&) const = default;
};

// Changes what every layer does and learns. Throws Error, beginning with `where`, for what does not fit the model.
void apply(const OwnAttention& attention, Plan& plan, const std::string& where);

// That of a config; the default where it has none. Throws Error for one that is not understood.
OwnAttention own_attention(const ConfigReader& config);
nlohmann::ordered_json to_json(const OwnAttention& attention);

}  // namespace polariscope::models
