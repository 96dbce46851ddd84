// The operators' schemas and which kernel serves which kind of tensor.
#include "polariscope/attention/torch/internal/operator.h"

#include "polariscope/base/error.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include <algorithm>

namespace polariscope::attention {
namespace {

using MaybeTensor = c10::optional<at::Tensor>;
using Text = std::string;
using Numbers = std::vector<double>;

MaybeTensor maybe(const at::Tensor& tensor) { return tensor.defined() ? MaybeTensor(tensor) : c10::nullopt; }

template <class T>
std::optional<T> standard(const c10::optional<T>& value) {
  return value.has_value() ? std::optional<T>(*value) : std::nullopt;
}

template <class T>
c10::optional<T> torch_optional(const std::optional<T>& value) {
  return value.has_value() ? c10::optional<T>(*value) : c10::nullopt;
}

// Lists of names are one text: tracers know no others.
Names names_of(const Text& text) {
  Names names;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    names.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return names;
}
Text text_of(const Names& names) { return fmt::format("{}", fmt::join(names, ",")); }

TensorArguments gather(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const Text& reweighting,
                       c10::optional<double> scale, bool causal, c10::optional<std::int64_t> window,
                       const MaybeTensor& bias, const MaybeTensor& slopes, const MaybeTensor& sink,
                       const MaybeTensor& key_lengths, const Names& parameters, const Numbers& numbers,
                       const MaybeTensor& learned = {}) {
  if (parameters.size() != numbers.size()) {
    throw Error("attend: {} parameters for {} numbers: expected as many", parameters.size(), numbers.size());
  }
  TensorArguments arguments{.query = query,
                            .key = key,
                            .value = value,
                            .options = {.reweighting = reweighting,
                                        .scale = standard(scale),
                                        .causal = causal,
                                        .window = standard(window),
                                        .bias = bias.value_or(at::Tensor()),
                                        .slopes = slopes.value_or(at::Tensor()),
                                        .sink = sink.value_or(at::Tensor()),
                                        .key_lengths = key_lengths.value_or(at::Tensor()),
                                        .parameters = {},
                                        .learned = learned.value_or(at::Tensor())}};
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    arguments.options.parameters.emplace_back(parameters[i], numbers[i]);
  }
  return arguments;
}

void split(const AttendOptions& options, Names& parameters, Numbers& numbers) {
  for (const auto& [name, number] : options.parameters) {
    parameters.push_back(name);
    numbers.push_back(number);
  }
}

template <Tensors (*kernel)(const TensorArguments&, const Names&)>
Tensors forward(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const Text& reweighting,
                c10::optional<double> scale, bool causal, c10::optional<std::int64_t> window, const MaybeTensor& bias,
                const MaybeTensor& slopes, const MaybeTensor& sink, const MaybeTensor& key_lengths,
                const Text& parameters, const Numbers& numbers, const Text& statistics, const MaybeTensor& learned) {
  return kernel(gather(query, key, value, reweighting, scale, causal, window, bias, slopes, sink, key_lengths,
                       names_of(parameters), numbers, learned),
                names_of(statistics));
}

template <Tensors (*kernel)(const BackwardArguments&)>
Tensors backward(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const Text& reweighting,
                 c10::optional<double> scale, bool causal, c10::optional<std::int64_t> window, const MaybeTensor& bias,
                 const MaybeTensor& slopes, const MaybeTensor& sink, const MaybeTensor& key_lengths,
                 const Text& parameters, const Numbers& numbers, const at::Tensor& output, const MaybeTensor& d_output,
                 const Text& saved_names, at::TensorList saved, const Text& d_names, at::TensorList d_statistics,
                 const Text& wanted) {
  return kernel({.forward = gather(query, key, value, reweighting, scale, causal, window, bias, slopes, sink,
                                   key_lengths, names_of(parameters), numbers),
                 .output = output,
                 .d_output = d_output.value_or(at::Tensor()),
                 .saved_names = names_of(saved_names),
                 .saved = saved.vec(),
                 .d_names = names_of(d_names),
                 .d_statistics = d_statistics.vec(),
                 .wanted = names_of(wanted)});
}

// name, alias and formula of each form, one after the other.
Names forms() {
  Names flat;
  for (const reweighting::AttentionForm& form : reweighting::attention_forms()) {
    flat.insert(flat.end(), {Text(form.name), Text(form.alias), Text(form.formula)});
  }
  return flat;
}

}  // namespace

Tensors call_forward(const TensorArguments& a, const Names& statistics) {
  static const auto kAttend = c10::Dispatcher::singleton()
                                  .findSchemaOrThrow("polariscope::attend", "")
                                  .typed<decltype(forward<forward_on_cpu>)>();
  const AttendOptions& o = a.options;
  Names parameters;
  Numbers numbers;
  split(o, parameters, numbers);
  return kAttend.call(a.query, a.key, a.value, o.reweighting, torch_optional(o.scale), o.causal,
                      torch_optional(o.window), maybe(o.bias), maybe(o.slopes), maybe(o.sink), maybe(o.key_lengths),
                      text_of(parameters), numbers, text_of(statistics), c10::nullopt);
}

Tensors call_backward(const BackwardArguments& a) {
  static const auto kBackward = c10::Dispatcher::singleton()
                                    .findSchemaOrThrow("polariscope::attend_backward", "")
                                    .typed<decltype(backward<backward_on_cpu>)>();
  const AttendOptions& o = a.forward.options;
  Names parameters;
  Numbers numbers;
  split(o, parameters, numbers);
  return kBackward.call(a.forward.query, a.forward.key, a.forward.value, o.reweighting, torch_optional(o.scale),
                        o.causal, torch_optional(o.window), maybe(o.bias), maybe(o.slopes), maybe(o.sink),
                        maybe(o.key_lengths), text_of(parameters), numbers, a.output, maybe(a.d_output),
                        text_of(a.saved_names), a.saved, text_of(a.d_names), a.d_statistics, text_of(a.wanted));
}

TORCH_LIBRARY(polariscope, library) {
  library.def(
      "attend(Tensor query, Tensor key, Tensor value, str reweighting, float? scale, bool causal, int? window, "
      "Tensor? bias, Tensor? slopes, Tensor? sink, Tensor? key_lengths, str parameters, float[] numbers, "
      "str statistics, Tensor? learned=None) -> Tensor[]");
  library.def(
      "attend_backward(Tensor query, Tensor key, Tensor value, str reweighting, float? scale, bool causal, "
      "int? window, Tensor? bias, Tensor? slopes, Tensor? sink, Tensor? key_lengths, str parameters, "
      "float[] numbers, Tensor output, Tensor? d_output, str saved_names, Tensor[] saved, str d_names, "
      "Tensor[] d_statistics, str wanted) -> Tensor[]");
  library.def("forms() -> str[]", forms);
  library.def("statistics_of(str reweighting) -> str[]",
              [](const Text& reweighting) { return statistics_of(reweighting); });
}

TORCH_LIBRARY_IMPL(polariscope, CPU, library) {
  library.impl("attend", forward<forward_on_cpu>);
  library.impl("attend_backward", backward<backward_on_cpu>);
}

TORCH_LIBRARY_IMPL(polariscope, Meta, library) {
  library.impl("attend", forward<forward_on_meta>);
  library.impl("attend_backward", backward<backward_on_meta>);
}

// Without these, gradients would end at the operator in silence.
TORCH_LIBRARY_IMPL(polariscope, Autograd, library) {
  library.impl("attend", forward<forward_with_autograd>);
  library.impl("attend_backward", torch::autograd::autogradNotImplementedFallback());
}

}  // namespace polariscope::attention
