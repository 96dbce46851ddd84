// What autograd records of the operator: one node, whose backward pass is an operator again.
#include "polariscope/attention/torch/internal/operator.h"
#include "polariscope/base/error.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

namespace polariscope::attention {
namespace {

using torch::autograd::AutogradContext;

bool has(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// The rows that the backward pass needs of the forward, if the statistics asked for may get gradients.
Names needed_rows(const reweighting::AttentionForm& form, const Names& statistics) {
  Names needed;
  if (form.rule == reweighting::RowRule::kElementwise) needed = {"shift", "inverse"};
  if (form.normaliser == reweighting::Normaliser::kMax1) needed.emplace_back("row_sum");
  for (const std::string& name : statistics) {
    if (is_differentiable(name)) needed.push_back(name);
  }
  if (has(statistics, "entropy")) needed.emplace_back("mass");
  if (has(statistics, "maximum")) needed.emplace_back("argmax");
  if (has(statistics, "logit_mean") || has(statistics, "logit_variance")) {
    if (!has(statistics, "logit_mean")) needed.emplace_back("logit_mean");
    needed.emplace_back("visible");
  }
  return needed;
}

// Saved tensors by name, since an absent one cannot be saved.
void save(AutogradContext* context, const TensorArguments& a, const at::Tensor& output, const Names& row_names,
          const Tensors& rows) {
  const AttendOptions& o = a.options;
  Names names;
  Tensors tensors;
  const auto keep = [&](const char* name, const at::Tensor& tensor) {
    if (!tensor.defined()) return;
    names.emplace_back(name);
    tensors.push_back(tensor);
  };
  keep("query", a.query);
  keep("key", a.key);
  keep("value", a.value);
  keep("bias", o.bias);
  keep("slopes", o.slopes);
  keep("sink", o.sink);
  keep("key_lengths", o.key_lengths);
  keep("output", output);
  tensors.insert(tensors.end(), rows.begin(), rows.end());
  context->save_for_backward(tensors);
  auto& data = context->saved_data;
  data["names"] = names;
  data["rows"] = row_names;
  data["reweighting"] = o.reweighting;
  if (o.scale.has_value()) data["scale"] = *o.scale;
  data["causal"] = o.causal;
  if (o.window.has_value()) data["window"] = *o.window;
  Names parameters;
  std::vector<double> numbers;
  for (const auto& [name, number] : o.parameters) {
    parameters.push_back(name);
    numbers.push_back(number);
  }
  data["parameters"] = parameters;
  data["numbers"] = numbers;
}

Names strings(const c10::IValue& value) {
  Names names;
  for (const c10::IValue& name : value.toListRef()) names.push_back(name.toStringRef());
  return names;
}

BackwardArguments restored(AutogradContext* context) {
  auto& data = context->saved_data;
  const Names names = strings(data["names"]);
  const Tensors tensors = context->get_saved_variables();
  BackwardArguments a;
  a.forward.query = named(names, tensors, "query");
  a.forward.key = named(names, tensors, "key");
  a.forward.value = named(names, tensors, "value");
  a.output = named(names, tensors, "output");
  AttendOptions& o = a.forward.options;
  o.bias = named(names, tensors, "bias");
  o.slopes = named(names, tensors, "slopes");
  o.sink = named(names, tensors, "sink");
  o.key_lengths = named(names, tensors, "key_lengths");
  a.saved_names = strings(data["rows"]);
  a.saved.assign(tensors.begin() + std::int64_t(names.size()), tensors.end());
  o.reweighting = data["reweighting"].toStringRef();
  if (data.count("scale") > 0) o.scale = data["scale"].toDouble();
  o.causal = data["causal"].toBool();
  if (data.count("window") > 0) o.window = data["window"].toInt();
  const Names parameters = strings(data["parameters"]);
  const std::vector<double> numbers = data["numbers"].toDoubleVector();
  for (std::size_t i = 0; i < parameters.size(); ++i) o.parameters.emplace_back(parameters[i], numbers[i]);
  return a;
}

c10::optional<at::Tensor> optional(const at::Tensor& tensor) {
  return tensor.defined() ? c10::optional<at::Tensor>(tensor) : c10::nullopt;
}

class AttendFunction : public torch::autograd::Function<AttendFunction> {
 public:
  // The first five are what can have a gradient; they are in `arguments` as well.
  static Tensors forward(AutogradContext* context, const at::Tensor&, const at::Tensor&, const at::Tensor&,
                         const c10::optional<at::Tensor>&, const c10::optional<at::Tensor>&,
                         const TensorArguments& arguments, const Names& statistics) {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    const Names needed = needed_rows(form_of(arguments.options), statistics);
    Names computed = statistics;
    for (const std::string& name : needed) {
      if (!has(computed, name)) computed.push_back(name);
    }
    Tensors results = call_forward(arguments, computed);
    const Tensors rows(results.begin() + 1, results.end());
    Tensors needed_tensors;
    for (const std::string& name : needed) needed_tensors.push_back(named(computed, rows, name));
    save(context, arguments, results[0], needed, needed_tensors);
    results.resize(1 + statistics.size());
    Tensors without_gradient;
    for (std::size_t i = 0; i < statistics.size(); ++i) {
      if (!is_differentiable(statistics[i])) without_gradient.push_back(results[1 + i]);
    }
    context->mark_non_differentiable(without_gradient);
    context->set_materialize_grads(false);
    context->saved_data["statistics"] = statistics;
    return results;
  }

  static Tensors backward(AutogradContext* context, const Tensors& gradients) {
    BackwardArguments a = restored(context);
    a.d_output = gradients[0];
    const Names statistics = strings(context->saved_data["statistics"]);
    for (std::size_t i = 0; i < statistics.size(); ++i) {
      if (!gradients[1 + i].defined() || !is_differentiable(statistics[i])) continue;
      a.d_names.push_back(statistics[i]);
      a.d_statistics.push_back(gradients[1 + i]);
    }
    // Edges are counted over the tensors that are there.
    const AttendOptions& o = a.forward.options;
    std::vector<std::size_t> places;
    std::size_t edge = 0;
    const std::pair<const char*, bool> inputs[] = {
        {"query", true}, {"key", true}, {"value", true}, {"bias", o.bias.defined()}, {"sink", o.sink.defined()}};
    for (std::size_t place = 0; place < std::size(inputs); ++place) {
      if (!inputs[place].second || !context->needs_input_grad(edge++)) continue;
      a.wanted.emplace_back(inputs[place].first);
      places.push_back(place);
    }
    Tensors all(7);  // one for each argument of forward(); those that are no tensors have none
    if (!a.d_output.defined() && a.d_names.empty()) return all;
    const Tensors results = call_backward(a);
    for (std::size_t i = 0; i < results.size(); ++i) all[places[i]] = results[i];
    return all;
  }
};

bool needs_gradient(const at::Tensor& tensor) { return tensor.defined() && tensor.requires_grad(); }

}  // namespace

Tensors forward_with_autograd(const TensorArguments& given, const Names& statistics) {
  check(given);
  check(statistics, form_of(given.options));
  const bool recording = at::GradMode::is_enabled();
  if (recording && needs_gradient(given.options.slopes)) {
    throw Error("attend: slopes have no gradient: detach them, or give what they add as a bias");
  }
  const TensorArguments a = converted(given);
  const AttendOptions& o = a.options;
  Tensors results;
  if (recording && (needs_gradient(a.query) || needs_gradient(a.key) || needs_gradient(a.value) ||
                    needs_gradient(o.bias) || needs_gradient(o.sink))) {
    results = AttendFunction::apply(a.query, a.key, a.value, optional(o.bias), optional(o.sink), a, statistics);
  } else {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    results = call_forward(a, statistics);
  }
  results[0] = results[0].to(given.query.scalar_type());
  return results;
}

}  // namespace polariscope::attention
