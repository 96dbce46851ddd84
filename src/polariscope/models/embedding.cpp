#include "polariscope/models/embedding.h"

#include "polariscope/base/error.h"
#include "polariscope/base/names.h"

#include <ATen/core/ivalue.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <array>
#include <cstdint>

namespace polariscope::models {
namespace {

using torch::autograd::AutogradContext;
using Tensors = torch::autograd::variable_list;

// Calls visit(token's row, position's row, output's row) for every token; position's row is null where there is none.
template <class T, class Visit>
void for_each_token(const at::Tensor& tokens, const at::Tensor& table, const at::Tensor& positions,
                    const at::Tensor& output, const Visit& visit) {
  const std::int64_t length = tokens.size(1), each = table.size(1), width = output.size(2);
  const auto* token = tokens.data_ptr<std::int64_t>();
  for (std::int64_t r = 0; r < tokens.numel(); ++r) {
    T* of_position = positions.defined() ? positions.data_ptr<T>() + r % length * each : nullptr;
    visit(table.data_ptr<T>() + token[r] * each, of_position, output.data_ptr<T>() + r * width);
  }
}

template <class T>
void embed_forward(const at::Tensor& tokens, const at::Tensor& table, const at::Tensor& positions, Positions how,
                   const at::Tensor& output) {
  const std::int64_t each = table.size(1);
  for_each_token<T>(tokens, table, positions, output, [&](const T* token, const T* position, T* to) {
    std::copy_n(token, each, to);
    if (how == Positions::kConcat) std::copy_n(position, each, to + each);
    if (how == Positions::kAdd) std::transform(position, position + each, to, to, std::plus<>());
  });
}

template <class T>
void embed_backward(const at::Tensor& tokens, Positions how, const at::Tensor& due, const at::Tensor& d_table,
                    const at::Tensor& d_positions) {
  const std::int64_t each = d_table.size(1);
  for_each_token<T>(tokens, d_table, d_positions, due, [&](T* token, T* position, const T* from) {
    for (std::int64_t i = 0; i < each; ++i) token[i] += from[i];
    if (how == Positions::kNone) return;
    if (how == Positions::kConcat) from += each;
    for (std::int64_t i = 0; i < each; ++i) position[i] += from[i];
  });
}

class Embed : public torch::autograd::Function<Embed> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& tokens, const at::Tensor& table,
                            const c10::optional<at::Tensor>& positions, std::int64_t how) {
    const at::Tensor rows = positions.value_or(at::Tensor());
    const std::int64_t width = table.size(1) * (Positions(how) == Positions::kConcat ? 2 : 1);
    const at::Tensor output = at::empty({tokens.size(0), tokens.size(1), width}, table.options());
    if (table.scalar_type() == at::kDouble) {
      embed_forward<double>(tokens, table, rows, Positions(how), output);
    } else {
      embed_forward<float>(tokens, table, rows, Positions(how), output);
    }
    context->save_for_backward({tokens, table, rows});
    context->saved_data["how"] = how;
    return output;
  }
  static Tensors backward(AutogradContext* context, const Tensors& due) {
    const Tensors saved = context->get_saved_variables();
    const auto how = Positions(context->saved_data["how"].toInt());
    const at::Tensor dy = due[0].contiguous(), d_table = at::zeros_like(saved[1]);
    const at::Tensor d_positions = saved[2].defined() ? at::zeros_like(saved[2]) : at::Tensor();
    if (dy.scalar_type() == at::kDouble) {
      embed_backward<double>(saved[0], how, dy, d_table, d_positions);
    } else {
      embed_backward<float>(saved[0], how, dy, d_table, d_positions);
    }
    return {at::Tensor(), d_table, d_positions, at::Tensor()};
  }
};

}  // namespace

Positions find_positions(const std::string& name) {
  if (name == "concat") return Positions::kConcat;
  if (name == "add") return Positions::kAdd;
  if (name == "no") return Positions::kNone;
  constexpr std::array<std::string_view, 3> kKnown{"concat", "add", "no"};
  throw Error("{}", unknown_name("positions", name, kKnown));
}

at::Tensor embed(const at::Tensor& tokens, const at::Tensor& table, const at::Tensor& positions, Positions how) {
  const at::Tensor all = tokens.contiguous();
  const auto* first = all.data_ptr<std::int64_t>();
  const auto* unknown =
      std::find_if(first, first + all.numel(), [&](std::int64_t token) { return token < 0 || token >= table.size(0); });
  if (unknown != first + all.numel()) {
    throw Error("token {} is not in the vocabulary: its tokens are 0 to {}", *unknown, table.size(0) - 1);
  }
  const c10::optional<at::Tensor> rows = positions.defined() ? c10::optional<at::Tensor>(positions) : c10::nullopt;
  return Embed::apply(all, table, rows, static_cast<std::int64_t>(how));
}

}  // namespace polariscope::models
