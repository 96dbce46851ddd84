// Where in a checkpoint each parameter of a description is.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace polariscope::models {

// Of each block of `period` rows the `count` from `first` on, in order; count 0: all rows. What a fused matrix holds
// of queries, keys and values, by blocks or by head, is said by these three.
struct RowRange {
  std::int64_t first = 0, count = 0, period = 0;

  bool operator==(const RowRange&) const = default;
};

// A parameter [out, in] (or [out]) is made of a stored tensor in this order: the `expert`'s part of its outermost
// dimension; transposed; its rows; plus `add`.
struct Source {
  std::string tensor = {};   // name in the checkpoint; with `stacked`, {} in it is the number of a part, from 0
  std::int64_t stacked = 0;  // parts, one below the other
  std::int64_t expert = -1;  // -1: the tensor is of one matrix
  bool transposed = false;   // stored [in, out]
  RowRange rows = {};
  double add = 0.0;  // 1 for norms stored minus one

  bool operator==(const Source&) const = default;
};

// By the parameter's name (parameter_names.h).
using Sources = std::map<std::string, Source, std::less<>>;

// Parts of fused matrices of H query heads, K key heads, all of them `width` wide.
namespace fused {
// All queries, then all keys, then all values.
RowRange block_query(std::int64_t heads, std::int64_t key_heads, std::int64_t width);
RowRange block_key(std::int64_t heads, std::int64_t key_heads, std::int64_t width);
RowRange block_value(std::int64_t heads, std::int64_t key_heads, std::int64_t width);
// For each key head: its queries, then its key, then its value.
RowRange group_query(std::int64_t heads, std::int64_t key_heads, std::int64_t width);
RowRange group_key(std::int64_t heads, std::int64_t key_heads, std::int64_t width);
RowRange group_value(std::int64_t heads, std::int64_t key_heads, std::int64_t width);
}  // namespace fused

// Puts sources under one beginning of parameters' names and one of tensors': both are joined to what is given.
class SourcePlaces {
 public:
  SourcePlaces(Sources& sources, std::string parameters, std::string tensors)
      : sources_(&sources), parameters_(std::move(parameters)), tensors_(std::move(tensors)) {}

  // The tensor `tensor` itself.
  void exactly(std::string_view parameter, std::string_view tensor, Source how = {}) const;
  // `tensor`.weight
  void weight(std::string_view parameter, std::string_view tensor, const Source& how = {}) const;
  // `tensor`.weight and, if `bias`, `tensor`.bias with the same rows, neither transposed nor added to.
  void linear(std::string_view parameter, std::string_view tensor, bool bias, const Source& how = {}) const;

 private:
  Sources* sources_;
  std::string parameters_ = {}, tensors_;
};

}  // namespace polariscope::models
