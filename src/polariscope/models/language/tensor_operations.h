// The forward pass's operations (pretrained/forward_pass.h) over LibTorch's tensors, with gradients.
#pragma once

#include "polariscope/models/language/layers.h"
#include "polariscope/models/model.h"
#include "polariscope/models/pretrained/forward_pass.h"

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace polariscope::models::language {

// Columns of a matrix that are taken apart by one node, once all that is known of them is: rotations first.
struct Columns {
  at::Tensor all;
  std::vector<std::int64_t> widths;
  std::vector<std::optional<Rotation>> rotations;
  std::vector<at::Tensor> parts;  // once they are apart
};

// [rows, width]
struct TensorRows {
  std::int64_t rows = 0, width = 0;
  at::Tensor own = {};               // its numbers, or
  std::shared_ptr<Columns> of = {};  // whose part it is, and
  std::size_t part = 0;              // which

  TensorRows() = default;
  explicit TensorRows(const at::Tensor& numbers) : rows(numbers.size(0)), width(numbers.size(1)), own(numbers) {}
  const at::Tensor& numbers() const;
};

class TensorOperations {
 public:
  using Array = TensorRows;
  using Vector = at::Tensor;
  struct Matrix {
    at::Tensor weight, bias;
  };
  struct Norm {
    at::Tensor weight, bias;
  };
  struct Routes {
    at::Tensor experts, weights;  // [rows, chosen]
  };

  TensorOperations(const Description& description, const Parameters& parameters, ProductPrecision precision,
                   const LayerObserver& observer)
      : model_(description), parameters_(parameters), precision_(precision), observer_(observer) {}

  void begin(const TokenBatch& texts);

  void load(Matrix& to, const std::vector<std::string>& names) const;
  void load(Norm& to, const std::string& name) const;
  void load(Vector& to, const std::string& name) const;

  // All rows at once: what threads share out, they do inside an operation.
  template <class Visit>
  auto by_rows(std::int64_t rows, const Visit& visit) {
    return visit(TokenRange{0, rows});
  }
  template <class Visit>
  Array update_rows(const Array& x, const Visit& visit) {
    return visit(x, TokenRange{0, x.rows});
  }
  Array part(const Array& x, TokenRange) const { return x; }

  template <std::size_t kParts>
  std::array<Array, kParts> split(const Array& x, const std::array<std::int64_t, kParts>& widths) const {
    const auto columns = std::make_shared<Columns>(
        Columns{x.numbers(), {widths.begin(), widths.end()}, std::vector<std::optional<Rotation>>(kParts), {}});
    std::array<Array, kParts> parts;
    for (std::size_t i = 0; i < kParts; ++i) {
      parts[i].rows = x.rows;
      parts[i].width = widths[i];
      parts[i].of = columns;
      parts[i].part = i;
    }
    return parts;
  }

  Array token_rows(const std::string& table, TokenRange range) const;
  Array position_rows(const std::string& table, TokenRange range, std::int64_t offset) const;
  Array first_rows(const std::string& table, TokenRange range) const;

  Array product(const Array& x, const Matrix& matrix) const;
  Array product_added(const Array& to, const Array& x, const Matrix& matrix) const;
  Array norm(const Array& x, const NormDescription& of, const Norm& norm, std::int64_t groups = 1,
             bool shared = true) const;
  Array rotated(Array x, std::int64_t rotary, std::int64_t heads, std::int64_t first, TokenRange range) const;
  Array with_shared_end(const Array& x, std::int64_t heads, const Array& end) const;
  Array scaled(const Array& x, double factor) const;
  Array add(const Array& x, const Array& y) const;
  Array clipped(const Array& x, double limit) const;
  Array activated(const Array& x, Activation activation) const;
  Array gated(const Array& x, const FeedForwardDescription& of) const;
  Array times_sigmoid(const Array& x, const Array& gates) const;

  // inputs: queries, keys and values.
  Array attention(const AttentionDescription& of, std::int64_t layer, const std::array<Array, 3>& inputs,
                  const Vector& sink);

  Routes routes(const Array& votes, const Experts& experts, const Vector& choice_bias) const;
  Array mixed(const Array& x, const Routes& routes, const Experts& experts,
              const std::function<Array(std::int64_t expert, const Array& rows)>& visit) const;

  // What the head multiplies, [rows, embedding width].
  at::Tensor predictions(const Array& x, const TokenBatch&) const { return x.numbers(); }

  void observe_hidden(std::int64_t, const Array&) const {}
  void observe_output(const Array&) const {}

 private:
  attention::AttendOptions attend_options(const AttentionDescription& of, std::int64_t length,
                                          const at::Tensor& sink) const;

  const Description& model_;
  const Parameters& parameters_;
  ProductPrecision precision_;
  const LayerObserver& observer_;
  std::int64_t batch_ = 0, length_ = 0;
  at::Tensor tokens_, positions_;  // int64 [rows]
  std::vector<Angles> angles_;     // one for each of the description's rotary
};

}  // namespace polariscope::models::language
