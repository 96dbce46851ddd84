// Processes that train one model together, each on its share of every batch: LibTorch's c10d with Gloo.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>  // before <ATen/ops/…>, whose order of includes clang refuses in C++20

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace polariscope::train {

struct RankPlace {
  int rank = 0, size = 1;
  std::string address = "127.0.0.1";  // of rank 0
  std::uint16_t port = 0;             // of rank 0; 0: one that is free
};

// What torchrun says (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT) or srun (SLURM_PROCID, SLURM_NTASKS, with the same
// address and port); nothing where this process is alone. Under torchrun, which holds the port itself, the port after
// it is meant. Throws Error for half of it.
std::optional<RankPlace> place_in_environment();

// Every rank must make the same calls in the same order. All throw Error where another process is gone, or does
// not answer within half an hour.
class Ranks {
 public:
  // Waits until all have come. port_known is called on rank 0 before that, with the port that the others need.
  explicit Ranks(const RankPlace& place, const std::function<void(std::uint16_t port)>& port_known = {});
  ~Ranks();
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;

  int rank() const { return place_.rank; }
  int size() const { return place_.size; }

  // Begins to replace contiguous numbers by their sums over all ranks, the same bits on each; they are there after
  // wait(), which ends all that has begun.
  void start_sum(const at::Tensor& numbers);
  // Likewise, by the largest of each.
  void start_maximum(const at::Tensor& numbers);
  void wait();
  // Replaces contiguous numbers by rank 0's.
  void broadcast(const at::Tensor& numbers);

 private:
  struct Group;
  RankPlace place_;
  std::unique_ptr<Group> group_;
};

}  // namespace polariscope::train
