#include "polariscope/models/parameters.h"

#include "polariscope/base/error.h"
#include "polariscope/base/fingerprint.h"
#include "polariscope/base/memory.h"
#include "polariscope/base/random.h"

#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>

#include <functional>
#include <numeric>

namespace polariscope::models {
namespace {

std::int64_t count_of(const std::vector<std::int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

// In double: sizes that nobody can hold overflow whole numbers.
void require_room(const std::vector<ParameterSpec>& specs, std::size_t bytes_each) {
  double count = 0.0;
  for (const ParameterSpec& spec : specs) {
    count += std::accumulate(spec.shape.begin(), spec.shape.end(), 1.0, std::multiplies<>());
  }
  require_memory(2.0 * count * static_cast<double>(bytes_each),
                 fmt::format("{:.3g} parameters and their gradients", count));
}

// What the p-th name has of the whole tensor.
std::vector<std::int64_t> shape_of_part(const ParameterSpec& spec, std::size_t p) {
  std::vector<std::int64_t> shape = spec.shape;
  shape[0] = spec.parts.empty() ? shape[0] / static_cast<std::int64_t>(spec.names.size()) : spec.parts[p];
  return shape;
}

template <class T>
void draw(const ParameterSpec& spec, std::uint64_t seed, T* to) {
  for (std::size_t p = 0; p < spec.names.size(); ++p) {
    const std::int64_t each = count_of(shape_of_part(spec, p));
    RandomStream random(seed, fingerprint(spec.names[p]));
    for (std::int64_t i = 0; i < each; ++i) {
      switch (spec.start) {
        case Start::kNormal: *to++ = static_cast<T>(spec.deviation * random.normal()); break;
        case Start::kUniform: *to++ = static_cast<T>(spec.bound * (2.0 * random.uniform() - 1.0)); break;
        case Start::kOnes: *to++ = T(1); break;
        case Start::kZeros: *to++ = T(0); break;
      }
    }
  }
}

}  // namespace

Parameters::Parameters(std::vector<ParameterSpec> specs, at::ScalarType type, std::uint64_t seed, at::Device device)
    : specs_(std::move(specs)) {
  require_room(specs_, at::elementSize(type));
  std::int64_t count = 0;
  offsets_.resize(specs_.size());
  for (const bool trained : {true, false}) {
    for (std::size_t i = 0; i < specs_.size(); ++i) {
      if (specs_[i].trained != trained) continue;
      offsets_[i] = count;
      count += count_of(specs_[i].shape);
    }
    if (trained) trained_ = count;
  }
  const at::Tensor drawn = at::zeros({count}, type);
  for (std::size_t i = 0; i < specs_.size(); ++i) {
    if (type == at::kDouble) {
      draw(specs_[i], seed, drawn.data_ptr<double>() + offsets_[i]);
    } else {
      draw(specs_[i], seed, drawn.data_ptr<float>() + offsets_[i]);
    }
  }
  values_ = drawn.to(device);
  gradients_ = at::zeros_like(values_);
  for (std::size_t i = 0; i < specs_.size(); ++i) {
    const ParameterSpec& spec = specs_[i];
    const std::int64_t size = count_of(spec.shape);
    at::Tensor leaf = values_.narrow(0, offsets_[i], size).view(spec.shape).detach();
    leaf.set_requires_grad(spec.trained);
    if (spec.trained) leaf.mutable_grad() = gradients_.narrow(0, offsets_[i], size).view(spec.shape);
    tensors_.push_back(leaf);
  }
}

bool Parameters::has(const std::string& first_name) const {
  for (const ParameterSpec& spec : specs_) {
    if (spec.names.front() == first_name) return true;
  }
  return false;
}

std::size_t Parameters::index_of(const std::string& first_name) const {
  for (std::size_t i = 0; i < specs_.size(); ++i) {
    if (specs_[i].names.front() == first_name) return i;
  }
  throw Error("the model has no parameter \"{}\"", first_name);
}

const at::Tensor& Parameters::tensor(const std::string& first_name) const { return tensors_[index_of(first_name)]; }
const ParameterSpec& Parameters::spec(const std::string& first_name) const { return specs_[index_of(first_name)]; }

Parameters::Named Parameters::named(const at::Tensor& flat) const {
  Named all;
  for (std::size_t i = 0; i < specs_.size(); ++i) {
    std::int64_t first = offsets_[i];
    for (std::size_t p = 0; p < specs_[i].names.size(); ++p) {
      const std::vector<std::int64_t> shape = shape_of_part(specs_[i], p);
      all.emplace_back(specs_[i].names[p], flat.narrow(0, first, count_of(shape)).view(shape));
      first += count_of(shape);
    }
  }
  return all;
}

}  // namespace polariscope::models
