#include "polariscope/checkpoints/checkpoint.h"

#include "polariscope/base/files.h"
#include "polariscope/base/safetensors.h"
#include "support/complaint.h"
#include "support/temporary_folder.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace polariscope::checkpoints {
namespace {

using polariscope::testing::complaint_of;
using polariscope::testing::TemporaryFolder;

TEST(Checkpoint, OfAFolderHasItsTensorsAndItsConfig) {
  const TemporaryFolder folder;
  const std::vector<float> numbers = {1, 2, 3, 4, 5, 6};
  write_safetensors(folder.path() / "model.safetensors",
                    std::vector<StoredTensor>{{"w", Dtype::kF32, {2, 3}, std::as_bytes(std::span(numbers))}});
  write_file(folder.path() / "config.json", R"({"model_type": "x", "limits": [0.0, Infinity]})");
  const Checkpoint checkpoint(folder.path().string());
  EXPECT_EQ(checkpoint.format(), Format::kSafetensors);
  EXPECT_EQ(checkpoint.config().at("limits").at(1).at("__float__"), "Infinity");
  const Tensor* w = checkpoint.find("w");
  ASSERT_NE(w, nullptr);
  EXPECT_EQ(w->shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(read_floats(*w), numbers);
  EXPECT_EQ(checkpoint.find("v"), nullptr);
}

}  // namespace
}  // namespace polariscope::checkpoints
