#include "polariscope/attention/torch/internal/arguments.h"

#include "polariscope/base/error.h"
#include "polariscope/reweighting/attention_parameters.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/where.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace polariscope::attention {
namespace {

std::string text(at::IntArrayRef sizes) { return fmt::format("[{}]", fmt::join(sizes.begin(), sizes.end(), ", ")); }

bool is_symbolic(const at::Tensor& tensor) {
  return tensor.defined() && tensor.unsafeGetTensorImpl()->has_symbolic_sizes_strides();
}

// Calls `see(name, tensor)` for each tensor that is there.
template <class See>
void for_each_tensor(const TensorArguments& a, See see) {
  const AttendOptions& o = a.options;
  const std::pair<const char*, const at::Tensor*> all[] = {{"query", &a.query},
                                                           {"key", &a.key},
                                                           {"value", &a.value},
                                                           {"bias", &o.bias},
                                                           {"slopes", &o.slopes},
                                                           {"sink", &o.sink},
                                                           {"key_lengths", &o.key_lengths},
                                                           {"learned", &o.learned}};
  for (const auto& [name, tensor] : all) {
    if (tensor->defined()) see(name, *tensor);
  }
}

// Under autocast what comes of some layers is of its type, and of others float32; PyTorch's own attention takes both.
bool may_mix(const at::Tensor& a, const at::Tensor& b) {
  return !c10::impl::tls_is_dispatch_key_excluded(c10::DispatchKey::AutocastCPU) && a.scalar_type() != at::kDouble &&
         b.scalar_type() != at::kDouble;
}

void check_types(const TensorArguments& a, bool any_device) {
  for (const auto& [name, tensor] :
       {std::pair{"query", &a.query}, std::pair{"key", &a.key}, std::pair{"value", &a.value}}) {
    if (!tensor->defined()) throw Error("attend: {} is missing", name);
  }
  for_each_tensor(a, [&](const char* name, const at::Tensor& tensor) {
    if (tensor.device() != a.query.device()) {
      throw Error("attend: {} is on {}, query on {}: they must be on one device", name, tensor.device().str(),
                  a.query.device().str());
    }
    if (!any_device && !tensor.device().is_cpu() && !tensor.device().is_meta()) {
      throw Error("attend: {} is on {}: expected the CPU", name, tensor.device().str());
    }
    if (tensor.layout() != at::kStrided) throw Error("attend: {} is not dense: expected a strided tensor", name);
    if (&tensor == &a.options.key_lengths) {
      if (!at::isIntegralType(tensor.scalar_type(), /*includeBool=*/false)) {
        throw Error("attend: key_lengths has type {}: expected int64 or int32", toString(tensor.scalar_type()));
      }
      return;
    }
    if (!at::isFloatingType(tensor.scalar_type())) {
      throw Error("attend: {} has type {}: expected float32, float64, bfloat16 or float16", name,
                  toString(tensor.scalar_type()));
    }
    const bool in_one_type = &tensor == &a.key || &tensor == &a.value;
    if (in_one_type && tensor.scalar_type() != a.query.scalar_type() && !may_mix(tensor, a.query)) {
      throw Error("attend: {} has type {}, query has {}: they must be of one type", name,
                  toString(tensor.scalar_type()), toString(a.query.scalar_type()));
    }
  });
}

void check_shapes(const TensorArguments& a) {
  const auto need = [&](const char* name, const at::Tensor& tensor, std::int64_t dimensions, const char* expected) {
    if (tensor.dim() == dimensions) return;
    throw Error("attend: {} has shape {}: expected {}", name, text(tensor.sizes()), expected);
  };
  need("query", a.query, 4, "[batch, heads, queries, width]");
  need("key", a.key, 4, "[batch, key heads, keys, width]");
  need("value", a.value, 4, "[batch, key heads, keys, value width]");
  const auto same = [&](const char* what, std::int64_t dimension, const char* first_name, const at::Tensor& first,
                        const char* second_name, const at::Tensor& second) {
    if (first.size(dimension) == second.size(dimension)) return;
    throw Error("attend: {} has shape {}, {} has {}: both must have the same {}", second_name, text(second.sizes()),
                first_name, text(first.sizes()), what);
  };
  same("batch", 0, "query", a.query, "key", a.key);
  same("batch", 0, "query", a.query, "value", a.value);
  same("width", 3, "query", a.query, "key", a.key);
  same("heads", 1, "key", a.key, "value", a.value);
  same("keys", 2, "key", a.key, "value", a.value);
  const std::int64_t batch = a.query.size(0), heads = a.query.size(1);
  const AttendOptions& o = a.options;
  if (o.bias.defined()) {
    const std::array<std::int64_t, 4> full{batch, heads, a.query.size(2), a.key.size(2)};
    bool fits = o.bias.dim() == 4;
    for (std::int64_t i = 0; fits && i < 4; ++i) fits = o.bias.size(i) == 1 || o.bias.size(i) == full[i];
    if (!fits) {
      throw Error("attend: bias has shape {}: expected {}, or 1 in place of any of them", text(o.bias.sizes()),
                  text(full));
    }
  }
  const auto one_each = [&](const char* name, const at::Tensor& tensor, std::int64_t count, const char* what) {
    if (!tensor.defined() || (tensor.dim() == 1 && tensor.size(0) == count)) return;
    throw Error("attend: {} has shape {}: expected [{}], one for each {}", name, text(tensor.sizes()), count, what);
  };
  one_each("slopes", o.slopes, heads, "head");
  one_each("sink", o.sink, heads, "head");
  one_each("key_lengths", o.key_lengths, batch, "sequence");
  one_each("learned", o.learned, static_cast<std::int64_t>(o.parameters.size()), "parameter");
}

// Of that type. What is finite stays so: the least number of a wider type, as masks have it, is the least of this.
at::Tensor narrowed(const at::Tensor& tensor, at::ScalarType type) {
  if (tensor.scalar_type() != at::kDouble || type != at::kFloat) return tensor.to(type);
  constexpr double kMost = std::numeric_limits<float>::max();
  return at::where(tensor.isinf(), tensor, tensor.clamp(-kMost, kMost)).to(type);
}

}  // namespace

void check(const TensorArguments& a, bool any_device) {
  check_types(a, any_device);
  bool symbolic = false;
  for_each_tensor(a, [&](const char*, const at::Tensor& tensor) { symbolic = symbolic || is_symbolic(tensor); });
  if (!symbolic) check_shapes(a);
  if (a.options.window.has_value() && *a.options.window < 1) {
    throw Error("attend: the window is {}: it must be positive", *a.options.window);
  }
  form_of(a.options);
}

at::ScalarType computed_type(const TensorArguments& a) {
  return a.query.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

TensorArguments converted(TensorArguments a) {
  const at::ScalarType type = computed_type(a);
  for (at::Tensor* tensor :
       {&a.query, &a.key, &a.value, &a.options.bias, &a.options.slopes, &a.options.sink, &a.options.learned}) {
    if (tensor->defined()) *tensor = narrowed(*tensor, type);
  }
  if (a.options.key_lengths.defined()) a.options.key_lengths = a.options.key_lengths.to(at::kLong);
  if (a.options.bias.defined()) {
    a.options.bias = a.options.bias.expand_symint(
        {a.query.sym_size(0), a.query.sym_size(1), a.query.sym_size(2), a.key.sym_size(2)});
  }
  return a;
}

reweighting::AttentionForm form_of(const AttendOptions& options) {
  reweighting::AttentionForm form = reweighting::find_attention_form(options.reweighting);
  for (const auto& [name, number] : options.parameters) {
    try {
      reweighting::set_parameter(form, name, number);
    } catch (const Error& error) {
      throw Error("attend: {}", error.what());
    }
  }
  reweighting::validate(form);
  return form;
}

template <class T>
bool point_at(typename AttentionGradient<T>::Parameters& to, std::string_view parameter, T* heads) {
  const std::pair<std::string_view, T**> all[] = {{"transform_factor", &to.transform_factor},
                                                  {"sum_offset", &to.sum_offset},
                                                  {"count_power", &to.count_power},
                                                  {"gamma", &to.gamma},
                                                  {"zeta", &to.zeta},
                                                  {"epsilon", &to.epsilon},
                                                  {"alpha", &to.alpha}};
  for (const auto& [name, member] : all) {
    if (name != parameter) continue;
    *member = heads;
    return true;
  }
  return false;
}

at::Tensor named(const Names& names, const Tensors& tensors, std::string_view name) {
  const auto at = std::find(names.begin(), names.end(), name);
  return at == names.end() ? at::Tensor() : tensors[at - names.begin()];
}

template <class T>
HeadsView<T> heads_view(const at::Tensor& tensor) {
  return {tensor.data_ptr<std::remove_const_t<T>>(), tensor.stride(0), tensor.stride(1), tensor.stride(2)};
}

at::Tensor empty_heads_like(const at::Tensor& like, const c10::SymInt& width, const at::TensorOptions& options) {
  const c10::SymInt batch = like.sym_size(0), heads = like.sym_size(1), rows = like.sym_size(2);
  if (like.sym_strides()[1] < like.sym_strides()[2]) {
    return at::empty_symint({batch, rows, heads, width}, options).transpose(1, 2);
  }
  return at::empty_symint({batch, heads, rows, width}, options);
}

at::Tensor with_contiguous_width(const at::Tensor& tensor) {
  return tensor.stride(-1) == 1 || tensor.size(-1) <= 1 ? tensor : tensor.contiguous();
}

template <class T>
ArrayArguments<T>::ArrayArguments(const TensorArguments& converted) : held_(converted) {
  AttendOptions& options = held_.options;
  for (at::Tensor* tensor : {&held_.query, &held_.key, &held_.value}) *tensor = with_contiguous_width(*tensor);
  if (options.bias.defined()) options.bias = with_contiguous_width(options.bias);
  for (at::Tensor* tensor : {&options.slopes, &options.sink, &options.key_lengths}) {
    if (tensor->defined()) *tensor = tensor->contiguous();
  }
  input_.form = form_of(options);
  const at::Tensor& query = held_.query;
  const at::Tensor& key = held_.key;
  input_.shape = {.batch = query.size(0),
                  .heads = query.size(1),
                  .key_heads = key.size(1),
                  .queries = query.size(2),
                  .keys = key.size(2),
                  .width = query.size(3),
                  .value_width = held_.value.size(3)};
  input_.query = heads_view<const T>(query);
  input_.key = heads_view<const T>(key);
  input_.value = heads_view<const T>(held_.value);
  const double usual = input_.form.scaled && query.size(3) > 0 ? 1.0 / std::sqrt(double(query.size(3))) : 1.0;
  input_.scale = options.scale.value_or(usual);
  input_.causal = options.causal;
  input_.window = options.window.value_or(0);
  if (options.bias.defined()) input_.bias = heads_view<const T>(options.bias);
  if (options.slopes.defined()) input_.slopes = options.slopes.data_ptr<T>();
  if (options.sink.defined()) input_.sink = options.sink.data_ptr<T>();
  if (options.key_lengths.defined()) input_.key_lengths = options.key_lengths.data_ptr<std::int64_t>();
}

template bool point_at(AttentionGradient<float>::Parameters&, std::string_view, float*);
template bool point_at(AttentionGradient<double>::Parameters&, std::string_view, double*);
template HeadsView<float> heads_view(const at::Tensor&);
template HeadsView<double> heads_view(const at::Tensor&);
template HeadsView<const float> heads_view(const at::Tensor&);
template HeadsView<const double> heads_view(const at::Tensor&);
template class ArrayArguments<float>;
template class ArrayArguments<double>;

}  // namespace polariscope::attention
