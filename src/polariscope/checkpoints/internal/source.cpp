#include "polariscope/checkpoints/internal/source.h"

#include "polariscope/base/error.h"

namespace polariscope::checkpoints {
namespace {

namespace fs = std::filesystem;

}  // namespace

Source find_source(const std::string& name) {
  const fs::path path = name;
  if (fs::is_regular_file(path)) return {Format::kSafetensors, path, path.parent_path(), {path}};
  if (fs::is_regular_file(path / "model.safetensors")) {
    return {Format::kSafetensors, path, path, {path / "model.safetensors"}};
  }
  throw Error("{}: there is no model.safetensors: give a model's folder", name);
}

}  // namespace polariscope::checkpoints
