// The operations of the forward pass (forward_pass.h) on this processor: products by oneDNN, attention with the
// statistics of its rows by our own kernel, everything else by vectors. Activations are [tokens, width] at most: rows
// go through a layer in ranges that stay in the second-level cache.
#pragma once

#include "polariscope/models/pretrained/cpu_rows.h"
#include "polariscope/models/pretrained/forward_observer.h"
#include "polariscope/models/pretrained/forward_pass.h"
#include "polariscope/models/pretrained/internal/packed_matrix.h"
#include "polariscope/models/pretrained/parameters.h"
#include "polariscope/models/pretrained/run_model.h"

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

namespace polariscope::models {

// Experts that each row goes through, [rows, chosen].
struct Routes {
  std::vector<std::int32_t> experts;
  std::vector<double> weights;
};

template <class T>
class CpuOperations {
 public:
  using Array = Rows<T>;
  using Vector = std::vector<T>;
  struct Matrix {
    PackedMatrix<T> weights;
    Vector bias;  // empty: none
  };
  struct Norm {
    Vector weight, bias;  // empty: 1, 0
  };

  // observer may be null.
  CpuOperations(const Description& description, const PretrainedModel& parameters, const RunOptions& options,
                ForwardObserver<T>* observer);

  void begin(const TokenBatch& texts);

  void load(Matrix& to, const std::vector<std::string>& names) const;
  void load(Norm& to, const std::string& name) const;
  void load(Vector& to, const std::string& name) const;

  // visit: TokenRange -> std::array<Array, N>; the arrays of all rows.
  template <class Visit>
  auto by_rows(std::int64_t rows, const Visit& visit) {
    decltype(visit(TokenRange{})) all;
    std::once_flag sized;
    for_ranges(rows, [&](TokenRange range) {
      const auto some = visit(range);
      std::call_once(sized, [&] {
        for (std::size_t i = 0; i < all.size(); ++i) all[i] = make(rows, some[i].width);
      });
      for (std::size_t i = 0; i < all.size(); ++i) copy(some[i], part(all[i], range));
    });
    return all;
  }

  // visit: (rows of x, TokenRange) -> what takes their place.
  template <class Visit>
  Array update_rows(Array x, const Visit& visit) {
    for_ranges(x.rows, [&](TokenRange range) {
      const Array rows = part(x, range);
      copy(visit(rows, range), rows);
    });
    return x;
  }

  Array part(const Array& x, TokenRange range) const { return x.part(range.first, range.count); }
  // Columns side by side, taken apart.
  template <std::size_t kParts>
  std::array<Array, kParts> split(const Array& x, const std::array<std::int64_t, kParts>& widths) const {
    std::array<Array, kParts> parts;
    std::int64_t first = 0;
    for (std::size_t i = 0; i < kParts; first += widths[i++]) parts[i] = x.columns(first, widths[i]);
    return parts;
  }

  Array token_rows(const std::string& table, TokenRange range) const;
  Array position_rows(const std::string& table, TokenRange range, std::int64_t offset) const;
  Array first_rows(const std::string& table, TokenRange range) const;

  Array product(const Array& x, const Matrix& matrix) const;
  Array product_added(const Array& to, const Array& x, const Matrix& matrix) const;
  // `groups` vectors side by side in a row, with the same weights (shared) or weights of their own.
  Array norm(const Array& x, const NormDescription& of, const Norm& norm, std::int64_t groups = 1,
             bool shared = true) const;
  Array rotated(Array x, std::int64_t rotary, std::int64_t heads, std::int64_t first, TokenRange range) const;
  Array with_shared_end(const Array& x, std::int64_t heads, const Array& end) const;
  Array scaled(Array x, double factor) const;
  Array add(Array x, const Array& y) const;
  Array clipped(Array x, double limit) const;
  Array activated(Array x, Activation activation) const;
  Array gated(Array x, const FeedForwardDescription& of) const;
  Array times_sigmoid(Array x, const Array& gates) const;

  // inputs: queries, keys and values.
  Array attention(const AttentionDescription& of, std::int64_t layer, const std::array<Array, 3>& inputs,
                  const Vector& sink);

  Routes routes(const Array& votes, const Experts& experts, const Vector& choice_bias) const;
  // Σ of the weights of a row times what its experts make of it.
  Array mixed(const Array& x, const Routes& routes, const Experts& experts,
              const std::function<Array(std::int64_t expert, const Array& rows)>& visit);

  Predictions predictions(const Array& x, const TokenBatch& texts);

  void observe_hidden(std::int64_t layers, const Array& x) {
    if (observer_ != nullptr) observer_->hidden(layers, x);
  }
  void observe_output(const Array& x) {
    if (observer_ != nullptr) observer_->output(x);
  }

 private:
  // Cosines and sines of a kind of positions, of all lengths that differ in them, and where each row finds its own.
  struct Angles {
    std::vector<T> table;              // [places, 2, pairs]
    std::vector<std::int64_t> places;  // [rows]
  };
  Angles angles_of(const Rotary& rotary) const;

  Array make(std::int64_t rows, std::int64_t width) const;
  static void copy(const Array& from, const Array& to);
  Array table_rows(const std::string& table, std::span<const std::int64_t> numbers) const;
  void for_ranges(std::int64_t rows, const std::function<void(TokenRange)>& visit) const;

  const Description& model_;
  const PretrainedModel& parameters_;
  RunOptions options_;
  ForwardObserver<T>* observer_;
  std::shared_ptr<MemoryPool<T>> memory_ = std::make_shared<MemoryPool<T>>();
  const TokenBatch* texts_ = nullptr;
  std::vector<std::int64_t> positions_;  // [rows]
  std::vector<Angles> angles_;           // one for each of the description's rotary
};

}  // namespace polariscope::models
