// Where LibTorch comes without Gloo's headers, as pip's PyTorch does: a training is of one process.
#include "polariscope/base/error.h"
#include "polariscope/train/ranks.h"

#include <cstdlib>
#include <string_view>

namespace polariscope::train {

std::optional<RankPlace> place_in_environment() {
  const char* size = std::getenv("WORLD_SIZE");
  if (size != nullptr && std::string_view(size) != "1") {
    throw Error("WORLD_SIZE is {}: processes cannot train together in this build, which needs Gloo (libgloo-dev)",
                size);
  }
  return {};
}

struct Ranks::Group {};

Ranks::Ranks(const RankPlace& place, const std::function<void(std::uint16_t port)>&) : place_(place) {
  throw Error("{} processes cannot train together in this build: it needs Gloo (on Debian libgloo-dev)", place.size);
}
Ranks::~Ranks() = default;

void Ranks::start_sum(const at::Tensor&) {}
void Ranks::start_maximum(const at::Tensor&) {}
void Ranks::wait() {}
void Ranks::broadcast(const at::Tensor&) {}

}  // namespace polariscope::train
