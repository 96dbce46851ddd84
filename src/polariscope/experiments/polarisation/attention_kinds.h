// What the polarisation paper tells apart when it speaks of attentions.
#pragma once

#include <string_view>

namespace polariscope::experiments {

enum class AttentionKind {
  kNormalised,    // positive weights that sum to one: softmax, sigmoid/sum
  kUnnormalised,  // positive weights: sigmoid
  kSigned,        // weights of either sign: identity, mlp/max1
  kUniform,       // looks at nothing
};
AttentionKind kind_of(std::string_view attention);
std::string_view name_of(AttentionKind kind);

}  // namespace polariscope::experiments
