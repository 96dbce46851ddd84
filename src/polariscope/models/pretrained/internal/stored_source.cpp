#include "polariscope/models/pretrained/internal/stored_source.h"

#include "polariscope/base/error.h"
#include "polariscope/base/names.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace polariscope::models {
namespace {

using checkpoints::Checkpoint;
using checkpoints::Tensor;

const Tensor& tensor_of(const Checkpoint& checkpoint, std::string_view parameter, const std::string& name) {
  if (const Tensor* tensor = checkpoint.find(name)) return *tensor;
  std::vector<std::string_view> names;
  for (const Tensor& tensor : checkpoint.tensors()) names.push_back(tensor.name);
  const std::string near = nearest_name(name, names);
  throw Error("{}: tensor \"{}\" is missing, the model's {}{}", checkpoint.path().string(), name, parameter,
              near.empty() ? "" : ": the nearest there is \"" + near + "\"");
}

// Numbers before those of the source's expert.
std::int64_t offset_of(const Tensor& tensor, const Source& source) {
  return source.expert < 0 ? 0 : source.expert * (checkpoints::size_of(tensor) / tensor.shape.front());
}

// The row of the (maybe transposed) matrix that row `row` of the parameter is.
std::int64_t stored_row(const RowRange& rows, std::int64_t row) {
  if (rows.count == 0) return row;
  return row / rows.count * rows.period + rows.first + row % rows.count;
}

// How many rows from `row` on lie one after the other.
std::int64_t run_length(const RowRange& rows, std::int64_t row, std::int64_t wanted) {
  return rows.count == 0 ? wanted : std::min(wanted, rows.count - row % rows.count);
}

// Whole blocks alone are decoded: of a quantised vector, all of it.
void read_numbers(const Tensor& tensor, std::int64_t first, std::int64_t count, float* into) {
  const std::int64_t block = checkpoints::block_of(tensor.type).numbers;
  if (first % block == 0 && count % block == 0) {
    checkpoints::read_floats(tensor, first, count, into);
    return;
  }
  const std::vector<float> all = checkpoints::read_floats(tensor);
  std::copy_n(all.begin() + first, count, into);
}

// Columns of what is stored [in, out]. One read for each input takes in all that is wanted of it.
void read_transposed(const Tensor& tensor, const Source& source, std::int64_t inputs, std::int64_t first,
                     std::int64_t count, float* into) {
  const std::int64_t outputs = tensor.shape.back(), offset = offset_of(tensor, source);
  const std::int64_t begin = stored_row(source.rows, first), end = stored_row(source.rows, first + count - 1) + 1;
  std::vector<float> piece(static_cast<std::size_t>(end - begin));
  for (std::int64_t i = 0; i < inputs; ++i) {
    read_numbers(tensor, offset + i * outputs + begin, end - begin, piece.data());
    for (std::int64_t row = 0; row < count; ++row) {
      into[row * inputs + i] = piece[static_cast<std::size_t>(stored_row(source.rows, first + row) - begin)];
    }
  }
}

}  // namespace

std::string part_name(const Source& source, std::int64_t part) {
  if (source.stacked == 0) return source.tensor;
  const std::size_t hole = source.tensor.find("{}");
  return source.tensor.substr(0, hole) + std::to_string(part) + source.tensor.substr(hole + 2);
}

void check_source(const Checkpoint& checkpoint, std::string_view parameter, const Source& source,
                  const std::vector<std::int64_t>& wanted) {
  for (std::int64_t part = 0; part < std::max<std::int64_t>(source.stacked, 1); ++part) {
    const Tensor& tensor = tensor_of(checkpoint, parameter, part_name(source, part));
    std::vector<std::int64_t> shape = tensor.shape;
    const auto refuse = [&](std::string_view why) {
      throw Error("{}: tensor \"{}\" of shape [{}] does not give the model's {}, of shape [{}]{}",
                  checkpoint.path().string(), tensor.name, fmt::join(tensor.shape, ", "), parameter,
                  fmt::join(wanted, ", "), why);
    };
    if (source.expert >= 0) {
      if (shape.empty() || source.expert >= shape.front()) refuse(": an expert's part is not there");
      shape.erase(shape.begin());
    }
    if (source.transposed) {
      if (shape.size() != 2) refuse(", transposed");
      std::swap(shape[0], shape[1]);
    }
    if (source.rows.count > 0) {
      if (shape.empty() || source.rows.period < 1 || shape[0] % source.rows.period != 0) {
        refuse(": its rows are no whole blocks of what is fused in it");
      }
      shape[0] = shape[0] / source.rows.period * source.rows.count;
    }
    if (source.stacked > 0) shape.insert(shape.begin(), source.stacked);
    if (shape != wanted) refuse("");
  }
}

void read_source(const Checkpoint& checkpoint, const Source& source, std::int64_t columns, std::int64_t first,
                 std::int64_t count, float* into) {
  if (count == 0) return;
  if (source.stacked > 0) {
    for (std::int64_t row = first; row < first + count; ++row) {
      read_numbers(*checkpoint.find(part_name(source, row)), 0, columns, into + (row - first) * columns);
    }
  } else if (const Tensor& tensor = *checkpoint.find(source.tensor); source.transposed) {
    read_transposed(tensor, source, columns, first, count, into);
  } else {
    const std::int64_t offset = offset_of(tensor, source);
    for (std::int64_t row = 0; row < count;) {
      const std::int64_t run = run_length(source.rows, first + row, count - row);
      read_numbers(tensor, offset + stored_row(source.rows, first + row) * columns, run * columns,
                   into + row * columns);
      row += run;
    }
  }
  if (source.add == 0.0) return;
  for (std::int64_t i = 0; i < count * columns; ++i) into[i] = static_cast<float>(into[i] + source.add);
}

}  // namespace polariscope::models
