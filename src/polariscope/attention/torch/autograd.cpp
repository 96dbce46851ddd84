// What autograd records of the operator: one node, whose backward pass is an operator again.
#include "polariscope/attention/torch/internal/operator.h"
#include "polariscope/attention/torch/plain_operators.h"
#include "polariscope/base/error.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/stack.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <utility>

namespace polariscope::attention {
namespace {

using torch::autograd::AutogradContext;

bool has(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// The rows that the backward pass needs of the forward, if the statistics asked for may get gradients.
Names needed_rows(const reweighting::AttentionForm& form, const Names& statistics, const AttendOptions& options) {
  Names needed;
  if (form.rule == reweighting::RowRule::kElementwise) needed = {"shift", "inverse"};
  if (form.normaliser == reweighting::Normaliser::kMax1) needed.emplace_back("row_sum");
  for (const std::string& name : statistics) {
    if (is_differentiable(name)) needed.push_back(name);
  }
  if (has(statistics, "entropy")) needed.emplace_back("mass");
  if (has(statistics, "maximum")) needed.emplace_back("argmax");
  const bool logits = has(statistics, "logit_mean") || has(statistics, "logit_variance");
  if (logits && !has(statistics, "logit_mean")) needed.emplace_back("logit_mean");
  const bool counts = form.normaliser == reweighting::Normaliser::kCount && options.learned.defined();
  if (logits || counts) needed.emplace_back("visible");
  return needed;
}

// The forward and the backward pass that a recorded call goes on to.
struct Passes {
  Tensors (*forward)(const TensorArguments&, const Names&);
  Tensors (*backward)(const BackwardArguments&);
};
constexpr Passes kDispatched{call_forward, call_backward};  // compilers and tracers listen to the dispatcher
constexpr Passes kDirect{compute_forward, compute_backward};

// What the backward pass needs beside tensors.
struct Call final : torch::CustomClassHolder {
  Call(AttendOptions given, Names needed, Names asked, const Passes& goes_on)
      : options(std::move(given)),
        rows(std::move(needed)),
        statistics(std::move(asked)),
        passes(goes_on),
        learned(options.learned.defined()) {
    for (at::Tensor* tensor : {&options.bias, &options.slopes, &options.sink, &options.key_lengths, &options.learned}) {
      tensor->reset();
    }
  }
  AttendOptions options;
  Names rows;        // that the forward pass wrote for the backward
  Names statistics;  // that were asked for
  Passes passes;
  bool learned = false;  // whether there was a tensor of the parameters
};

constexpr const char* kCall = "call";
constexpr std::size_t kInputs = 8;

// Any of the inputs' tensors may be absent.
void save(AutogradContext* context, const TensorArguments& a, const at::Tensor& output, const Tensors& rows,
          const c10::intrusive_ptr<Call>& call) {
  const AttendOptions& o = a.options;
  Tensors tensors{a.query, a.key, a.value, o.bias, o.slopes, o.sink, o.key_lengths, output};
  tensors.insert(tensors.end(), rows.begin(), rows.end());
  context->save_for_backward(tensors);
  context->saved_data[kCall] = c10::IValue::make_capsule(call);
}

BackwardArguments restored(const Call& call, const Tensors& tensors) {
  BackwardArguments a;
  AttendOptions& o = a.forward.options;
  o = call.options;
  at::Tensor* const inputs[kInputs] = {&a.forward.query, &a.forward.key, &a.forward.value, &o.bias,
                                       &o.slopes,        &o.sink,        &o.key_lengths,   &a.output};
  for (std::size_t i = 0; i < kInputs; ++i) *inputs[i] = tensors[i];
  a.saved_names = call.rows;
  a.saved.assign(tensors.begin() + kInputs, tensors.end());
  return a;
}

c10::optional<at::Tensor> optional(const at::Tensor& tensor) {
  return tensor.defined() ? c10::optional<at::Tensor>(tensor) : c10::nullopt;
}

class AttendFunction : public torch::autograd::Function<AttendFunction> {
 public:
  // The first six are what can have a gradient; they are in `arguments` as well.
  static Tensors forward(AutogradContext* context, const at::Tensor&, const at::Tensor&, const at::Tensor&,
                         const c10::optional<at::Tensor>&, const c10::optional<at::Tensor>&,
                         const c10::optional<at::Tensor>&, const TensorArguments& arguments, const Names& statistics,
                         const Passes& passes) {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    const Names needed = needed_rows(form_of(arguments.options), statistics, arguments.options);
    Names computed = statistics;
    for (const std::string& name : needed) {
      if (!has(computed, name)) computed.push_back(name);
    }
    Tensors results = passes.forward(arguments, computed);
    const Tensors rows(results.begin() + 1, results.end());
    Tensors needed_tensors;
    for (const std::string& name : needed) needed_tensors.push_back(named(computed, rows, name));
    save(context, arguments, results[0], needed_tensors,
         c10::make_intrusive<Call>(arguments.options, needed, statistics, passes));
    results.resize(1 + statistics.size());
    Tensors without_gradient;
    for (std::size_t i = 0; i < statistics.size(); ++i) {
      if (!is_differentiable(statistics[i])) without_gradient.push_back(results[1 + i]);
    }
    context->mark_non_differentiable(without_gradient);
    context->set_materialize_grads(false);
    return results;
  }

  static Tensors backward(AutogradContext* context, const Tensors& gradients) {
    const auto kept = context->saved_data[kCall].toCapsule();
    const auto& call = static_cast<const Call&>(*kept);
    BackwardArguments a = restored(call, context->get_saved_variables());
    a.d_output = gradients[0];
    for (std::size_t i = 0; i < call.statistics.size(); ++i) {
      if (!gradients[1 + i].defined() || !is_differentiable(call.statistics[i])) continue;
      a.d_names.push_back(call.statistics[i]);
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
    const bool learns = call.learned && !o.parameters.empty() && context->needs_input_grad(edge);
    for (std::size_t i = 0; learns && i < o.parameters.size(); ++i) a.wanted.push_back(o.parameters[i].first);
    Tensors all(9);  // one for each argument of forward(); those that are no tensors have none
    if (!a.d_output.defined() && a.d_names.empty()) return all;
    const Tensors results = call.passes.backward(a);
    for (std::size_t i = 0; i < places.size(); ++i) all[places[i]] = results[i];
    if (learns) {
      Tensors sums;  // over the heads
      for (std::size_t i = places.size(); i < results.size(); ++i) sums.push_back(results[i].sum());
      all[std::size(inputs)] = at::stack(sums);
    }
    return all;
  }
};

bool needs_gradient(const at::Tensor& tensor) { return tensor.defined() && tensor.requires_grad(); }

// Whose tangents would be lost without a word.
void refuse_forward_mode(const TensorArguments& a) {
  const AttendOptions& o = a.options;
  for (const at::Tensor* tensor : {&a.query, &a.key, &a.value, &o.bias, &o.slopes, &o.sink, &o.learned}) {
    if (!tensor->defined() || !tensor->_fw_grad(0).defined()) continue;
    throw Error("attend: derivatives in forward mode (jvp) are not computed: take them in reverse mode");
  }
}

Tensors recorded(const TensorArguments& given, const Names& statistics, const Passes& passes) {
  const bool recording = at::GradMode::is_enabled();
  if (recording && needs_gradient(given.options.slopes)) {
    throw Error("attend: slopes have no gradient: detach them, or give what they add as a bias");
  }
  for (const auto& [name, number] : given.options.parameters) {
    if (recording && name == "feature_offset" && needs_gradient(given.options.learned)) {
      throw Error("attend: feature_offset has no gradient: map query and key, and choose a form that maps none");
    }
  }
  refuse_forward_mode(given);
  const TensorArguments a = converted(given);
  const AttendOptions& o = a.options;
  Tensors results;
  if (recording && (needs_gradient(a.query) || needs_gradient(a.key) || needs_gradient(a.value) ||
                    needs_gradient(o.bias) || needs_gradient(o.sink) || needs_gradient(o.learned))) {
    results = AttendFunction::apply(a.query, a.key, a.value, optional(o.bias), optional(o.sink), optional(o.learned), a,
                                    statistics, passes);
  } else {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    results = passes.forward(a, statistics);
  }
  results[0] = results[0].to(given.query.scalar_type());
  return results;
}

}  // namespace

Tensors forward_with_autograd(const TensorArguments& given, const Names& statistics) {
  check(given);
  check(statistics, form_of(given.options));
  return recorded(given, statistics, kDispatched);
}

Tensors forward_from_cpp(const TensorArguments& given, const Names& statistics) {
  check(given, /*any_device=*/true);
  check(statistics, form_of(given.options));
  if (takes_plain_operators(given.query) && !given.query.is_meta()) {
    Tensors results = forward_in_plain_operators(converted(given), statistics);
    results[0] = results[0].to(given.query.scalar_type());
    return results;
  }
  return recorded(given, statistics, given.query.device().is_cpu() ? kDirect : kDispatched);
}

}  // namespace polariscope::attention
