// Attention of the forward pass, text by text, straight on queries, keys and values as they lie.
#include "polariscope/models/pretrained/attention_of.h"
#include "polariscope/models/pretrained/cpu_operations.h"

namespace polariscope::models {

template <class T>
Rows<T> CpuOperations<T>::attention(const AttentionDescription& of, std::int64_t layer,
                                    const std::array<Array, 3>& inputs, const Vector& sink) {
  const auto& [query, key, value] = inputs;
  const Array output = make(query.rows, of.heads * of.value_width);
  attention::AttentionInput<T> input;
  input.form = attention_form_of(of);
  input.scale = of.scale;
  input.causal = model_.causal;
  input.window = of.window.value_or(0);
  input.bfloat16 = options_.precision == ProductPrecision::kBfloat16;
  const Vector constant(of.constant_sink ? of.heads : 0, static_cast<T>(of.constant_sink.value_or(0.0)));
  if (of.sink) input.sink = sink.data();
  if (of.constant_sink) input.sink = constant.data();
  for (std::int64_t t = 0; t < texts_->texts(); ++t) {
    const std::int64_t start = texts_->start(t), length = texts_->length(t);
    const auto heads = [&](const Array& rows, std::int64_t width) -> attention::HeadsView<T> {
      return {rows.row(start), 0, width, rows.stride};
    };
    const AttentionExtras<T> extras = attention_extras_of<T>(of, length);
    input.shape = {.batch = 1,
                   .heads = of.heads,
                   .key_heads = of.key_heads,
                   .queries = length,
                   .keys = length,
                   .width = of.query_width,
                   .value_width = of.value_width};
    input.query = heads(query, of.query_width);
    input.key = heads(key, of.query_width);
    input.value = heads(value, of.value_width);
    input.slopes = extras.slopes.empty() ? nullptr : extras.slopes.data();
    input.bias = {extras.bias.empty() ? nullptr : extras.bias.data(), 0, extras.bias_stride, 0};
    attention::AttentionOutput<T> to;
    to.output = heads(output, of.value_width);
    if (observer_ != nullptr) observer_->before_attention(layer, t, to);
    attention::attend(input, to, options_.threads);
    if (observer_ != nullptr) observer_->attended(layer, t, input, to);
  }
  return output;
}

template Rows<float> CpuOperations<float>::attention(const AttentionDescription&, std::int64_t,
                                                     const std::array<Array, 3>&, const Vector&);
template Rows<double> CpuOperations<double>::attention(const AttentionDescription&, std::int64_t,
                                                       const std::array<Array, 3>&, const Vector&);

}  // namespace polariscope::models
