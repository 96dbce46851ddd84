// The parameters of a pretrained model: what it needs, where a checkpoint has it, and its numbers.
#pragma once

#include "polariscope/checkpoints/checkpoint.h"
#include "polariscope/models/pretrained/architecture_row.h"
#include "polariscope/models/pretrained/description.h"
#include "polariscope/models/pretrained/sources.h"

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace polariscope::models {

struct ParameterShape {
  std::vector<std::int64_t> shape = {};
  bool needed = true;  // false: biases
};

// All that a model so described has, and may have, by name.
std::map<std::string, ParameterShape, std::less<>> parameter_shapes(const Description& description);

// What a row says of a config; `where` is named in errors. Throws Error for a key that may change results and is not
// understood.
Plan read_plan(const PretrainedRow& row, const nlohmann::json& config, const std::string& where,
               const TensorsAtHand& tensors);

// A stored matrix that is used as it lies: rows of whole blocks, neither transposed nor added to. The bytes belong to
// the checkpoint.
struct StoredMatrix {
  checkpoints::TensorType type;
  std::int64_t rows = 0, columns = 0;
  std::span<const std::byte> bytes;  // row-major, each row after the other
};

// A description and, in a checkpoint, its parameters; copies share the mapped files.
class PretrainedModel {
 public:
  // By the row that config.json's model_type or GGUF's general.architecture names, or by a row that is given.
  // Throws Error for an unknown architecture, a key of the config that may change results and is not understood, a
  // tensor that is missing, of another shape, of a type that is not read, or of which nothing is known.
  explicit PretrainedModel(const checkpoints::Checkpoint& checkpoint);
  PretrainedModel(const checkpoints::Checkpoint& checkpoint, const PretrainedRow& row);

  const Description& description() const { return description_; }
  const checkpoints::Checkpoint& checkpoint() const { return checkpoint_; }
  const Sources& sources() const { return sources_; }

  bool has(std::string_view parameter) const { return shapes_.contains(parameter); }
  // Throws std::out_of_range for what the model has not: ask has() for biases.
  const std::vector<std::int64_t>& shape(std::string_view parameter) const;

  // Rows [first, first + rows) of a parameter [out, in], or that many numbers of one [out]; `into` takes rows * in.
  // Safe to call at once from many threads. Throws Error, with the tensor's name, for a weight that is not finite.
  void read_rows(std::string_view parameter, std::int64_t first, std::int64_t rows, float* into) const;
  std::vector<float> read(std::string_view parameter) const;

  // Where the stored bytes serve as they are (quantised ones stay so); none elsewhere.
  std::optional<StoredMatrix> stored(std::string_view parameter) const;

  // The tensor, for messages: `tensor "model.norm.weight"`.
  std::string place(std::string_view parameter) const;

 private:
  void resolve(const PretrainedRow& row, Plan plan);
  void find_prefix(const PretrainedRow& row);
  void find_old_names();
  void settle_head();
  void check_extra(const PretrainedRow& row, const std::vector<std::string>& ignored) const;

  checkpoints::Checkpoint checkpoint_;
  Description description_;
  Sources sources_;
  std::map<std::string, std::vector<std::int64_t>, std::less<>> shapes_;
};

}  // namespace polariscope::models
