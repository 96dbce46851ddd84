#include "polariscope/models/language/sigma_reparam.h"

#include "polariscope/models/language/folded_matrix.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/dot.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/stack.h>
#include <torch/csrc/autograd/custom_function.h>

namespace polariscope::models::language {
namespace {

using torch::autograd::AutogradContext;
using Tensors = torch::autograd::variable_list;

// As PyTorch's parametrisations keep a norm from dividing by zero.
constexpr double kLeastNorm = 1e-12;

// One matrix of a product.
struct Part {
  std::int64_t first, rows, number;

  at::Tensor of_rows(const at::Tensor& all) const { return all.narrow(0, first, rows); }
  at::Tensor of_columns(const at::Tensor& all, std::int64_t columns) const {
    return all.narrow(0, number * columns, columns);
  }
};

std::vector<Part> parts_of(const std::vector<std::int64_t>& rows) {
  std::vector<Part> parts;
  std::int64_t first = 0;
  for (const std::int64_t each : rows) {
    parts.push_back({first, each, static_cast<std::int64_t>(parts.size())});
    first += each;
  }
  return parts;
}

// uᵀ W v of each part, [parts].
at::Tensor norms_of(const at::Tensor& weight, const at::Tensor& left, const at::Tensor& right,
                    const std::vector<Part>& parts) {
  Tensors norms;
  for (const Part& part : parts) {
    norms.push_back(at::dot(part.of_rows(left), part.of_rows(weight).mv(part.of_columns(right, weight.size(1)))));
  }
  return at::stack(norms);
}

// With s = γ / σ and G the gradient of s W: dW = s G - (s / σ) <G, W> u vᵀ and dγ = <G, W> / σ.
class Reparametrised : public torch::autograd::Function<Reparametrised> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& weight, const at::Tensor& gain,
                            const at::Tensor& left, const at::Tensor& right, const std::vector<std::int64_t>& rows) {
    const std::vector<Part> parts = parts_of(rows);
    const at::Tensor norms = norms_of(weight, left, right, parts), scales = gain / norms;
    at::Tensor result = at::empty_like(weight);
    for (const Part& part : parts) {
      at::Tensor to = part.of_rows(result);
      at::mul_out(to, part.of_rows(weight), scales[part.number]);
    }
    context->save_for_backward({weight, left.clone(), right.clone(), norms, scales});
    context->saved_data["rows"] = rows;
    return result;
  }
  static Tensors backward(AutogradContext* context, const Tensors& due) {
    const Tensors saved = context->get_saved_variables();
    const at::Tensor &weight = saved[0], &left = saved[1], &right = saved[2], &norms = saved[3], &scales = saved[4];
    const at::Tensor given = due[0].contiguous();
    at::Tensor d_weight = at::empty_like(weight), d_gain = at::empty_like(norms);
    for (const Part& part : parts_of(context->saved_data["rows"].toIntVector())) {
      const at::Tensor g = part.of_rows(given), scale = scales[part.number], norm = norms[part.number];
      const at::Tensor inner = at::dot(g.reshape({-1}), part.of_rows(weight).reshape({-1}));
      at::Tensor to = part.of_rows(d_weight);
      at::mul_out(to, g, scale);
      const at::Tensor along = part.of_rows(left) * (inner * scale / norm);
      to.addr_(along, part.of_columns(right, weight.size(1)), 1.0, -1.0);
      d_gain[part.number].copy_(inner / norm);
    }
    return {d_weight, d_gain, at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

// visit(specification of the matrix, its name) for each product's matrix that has a γ.
template <class Visit>
void for_each(const Parameters& parameters, const Visit& visit) {
  for (const ParameterSpec& spec : parameters.specs()) {
    const std::string& name = spec.names.front();
    if (parameters.has(name + std::string(kGain))) visit(spec, name);
  }
}

void put_normalised(const at::Tensor& from, const at::Tensor& to) {
  to.copy_(from / from.norm().clamp_min(kLeastNorm));
}

std::vector<std::string> with_end(const std::vector<std::string>& names, std::string_view end) {
  std::vector<std::string> all;
  for (const std::string& name : names) all.push_back(name + std::string(end));
  return all;
}

}  // namespace

std::vector<ParameterSpec> reparametrisation_of(const ParameterSpec& matrix) {
  const auto parts = static_cast<std::int64_t>(matrix.names.size());
  return {{.names = with_end(matrix.names, kGain), .shape = {parts}, .start = Start::kOnes},
          {.names = with_end(matrix.names, kLeft),
           .shape = {matrix.shape[0]},
           .start = Start::kNormal,
           .trained = false,
           .parts = matrix.parts},
          {.names = with_end(matrix.names, kRight),
           .shape = {parts * matrix.shape[1]},
           .start = Start::kNormal,
           .trained = false}};
}

at::Tensor reparametrised(const Parameters& parameters, const std::string& name) {
  const at::Tensor& weight = parameters.tensor(name);
  if (!parameters.has(name + std::string(kGain))) return weight;
  return Reparametrised::apply(weight, parameters.tensor(name + std::string(kGain)),
                               parameters.tensor(name + std::string(kLeft)),
                               parameters.tensor(name + std::string(kRight)), parameters.spec(name).parts);
}

void iterate_singular_vectors(const Parameters& parameters, int times) {
  const at::NoGradGuard guard;
  for_each(parameters, [&](const ParameterSpec& spec, const std::string& name) {
    const at::Tensor weight = parameters.tensor(name).detach();
    const at::Tensor left = parameters.tensor(name + std::string(kLeft)),
                     right = parameters.tensor(name + std::string(kRight));
    for (const Part& part : parts_of(spec.parts)) {
      const at::Tensor w = part.of_rows(weight), u = part.of_rows(left), v = part.of_columns(right, weight.size(1));
      for (int i = 0; i < times; ++i) {
        put_normalised(w.t().mv(u), v);
        put_normalised(w.mv(v), u);
      }
    }
  });
}

void gains_from_norms(const Parameters& parameters) {
  const at::NoGradGuard guard;
  for_each(parameters, [&](const ParameterSpec& spec, const std::string& name) {
    at::Tensor gain = parameters.tensor(name + std::string(kGain)).detach();
    gain.copy_(norms_of(parameters.tensor(name), parameters.tensor(name + std::string(kLeft)),
                        parameters.tensor(name + std::string(kRight)), parts_of(spec.parts)));
  });
}

}  // namespace polariscope::models::language
