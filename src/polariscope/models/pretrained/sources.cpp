#include "polariscope/models/pretrained/sources.h"

#include "polariscope/models/pretrained/parameter_names.h"

namespace polariscope::models {
namespace fused {
namespace {

std::int64_t total(std::int64_t heads, std::int64_t key_heads, std::int64_t width) {
  return (heads + 2 * key_heads) * width;
}

std::int64_t group(std::int64_t heads, std::int64_t key_heads) { return heads / key_heads; }

}  // namespace

RowRange block_query(std::int64_t heads, std::int64_t key_heads, std::int64_t width) {
  return {0, heads * width, total(heads, key_heads, width)};
}

RowRange block_key(std::int64_t heads, std::int64_t key_heads, std::int64_t width) {
  return {heads * width, key_heads * width, total(heads, key_heads, width)};
}

RowRange block_value(std::int64_t heads, std::int64_t key_heads, std::int64_t width) {
  return {(heads + key_heads) * width, key_heads * width, total(heads, key_heads, width)};
}

RowRange group_query(std::int64_t heads, std::int64_t key_heads, std::int64_t width) {
  return {0, group(heads, key_heads) * width, (group(heads, key_heads) + 2) * width};
}

RowRange group_key(std::int64_t heads, std::int64_t key_heads, std::int64_t width) {
  return {group(heads, key_heads) * width, width, (group(heads, key_heads) + 2) * width};
}

RowRange group_value(std::int64_t heads, std::int64_t key_heads, std::int64_t width) {
  return {(group(heads, key_heads) + 1) * width, width, (group(heads, key_heads) + 2) * width};
}

}  // namespace fused

void SourcePlaces::exactly(std::string_view parameter, std::string_view tensor, Source how) const {
  how.tensor = tensors_ + std::string(tensor);
  sources_->insert_or_assign(parameters_ + std::string(parameter), std::move(how));
}

void SourcePlaces::weight(std::string_view parameter, std::string_view tensor, const Source& how) const {
  exactly(parameter, std::string(tensor) + ".weight", how);
}

void SourcePlaces::linear(std::string_view parameter, std::string_view tensor, bool bias, const Source& how) const {
  weight(parameter, tensor, how);
  if (!bias) return;
  Source of_bias = how;
  of_bias.transposed = false;
  of_bias.add = 0.0;
  exactly(parameter::bias(parameter), std::string(tensor) + ".bias", of_bias);
}

}  // namespace polariscope::models
