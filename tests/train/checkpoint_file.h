// Checkpoints through files, as the loop keeps and reads them.
#pragma once

#include "polariscope/base/safetensors.h"
#include "polariscope/train/checkpoint.h"

#include <cstdint>
#include <filesystem>

namespace polariscope::testing {

template <class Trainer>
void write_checkpoint(const Trainer& trainer, const std::filesystem::path& path) {
  const train::Checkpoint checkpoint = trainer.checkpoint();
  write_safetensors(path, checkpoint.tensors, checkpoint.metadata);
}

template <class Trainer>
void read_checkpoint(Trainer& trainer, const std::filesystem::path& path, std::int64_t step) {
  trainer.restore(Safetensors(path), step);
}

}  // namespace polariscope::testing
