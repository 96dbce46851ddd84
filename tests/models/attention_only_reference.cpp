#include "attention_only_reference.h"

#include "polariscope/attention/oracle/oracle.h"

#include <fmt/format.h>

#include <cmath>
#include <string>
#include <utility>

namespace polariscope::testing {
namespace {

using Numbers = std::vector<double>;

// Rows of `width` numbers.
struct Matrix {
  std::int64_t rows = 0, width = 0;
  Numbers at = Numbers(static_cast<std::size_t>(rows * width));
  double& operator()(std::int64_t r, std::int64_t c) { return at[static_cast<std::size_t>(r * width + c)]; }
  double operator()(std::int64_t r, std::int64_t c) const { return at[static_cast<std::size_t>(r * width + c)]; }
};

Matrix product(const Matrix& a, const Matrix& b) {
  Matrix c{a.rows, b.width};
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int64_t j = 0; j < b.width; ++j) {
      for (std::int64_t s = 0; s < a.width; ++s) c(i, j) += a(i, s) * b(s, j);
    }
  }
  return c;
}
Matrix transposed(const Matrix& a) {
  Matrix t{a.width, a.rows};
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int64_t j = 0; j < a.width; ++j) t(j, i) = a(i, j);
  }
  return t;
}
// The first `width` columns, or as many more that are zero.
Matrix with_width(const Matrix& a, std::int64_t width) {
  Matrix cut{a.rows, width};
  for (std::int64_t i = 0; i < a.rows; ++i) {
    for (std::int64_t j = 0; j < std::min(width, a.width); ++j) cut(i, j) = a(i, j);
  }
  return cut;
}
void add(Matrix& to, const Matrix& from) {
  for (std::size_t i = 0; i < to.at.size(); ++i) to.at[i] += from.at[i];
}

class Model {
 public:
  Model(const models::AttentionOnlyOptions& o, std::span<const double> values)
      : o_(o),
        form_(reweighting::find_attention_form(o.attention)),
        places_(models::AttentionOnly<double>(o).parameters()),
        values_(values) {
    gradient_.resize(values.size());
  }

  Reference run(std::span<const double> tokens, std::span<const double> answers) {
    batch_ = static_cast<std::int64_t>(answers.size());
    Matrix x{batch_ * o_.tokens, models::kTokenWidth};
    x.at.assign(tokens.begin(), tokens.end());
    Reference done;
    std::vector<Layer> layers;
    for (int l = 0; l < o_.layers; ++l) {
      layers.push_back(forward(l, x, done.result));
      x = layers.back().next;
    }
    Matrix dx{x.rows, x.width};
    for (std::int64_t b = 0; b < batch_; ++b) {
      const double apart = x(b * o_.tokens + o_.tokens - 1, 3) - answers[static_cast<std::size_t>(b)];
      done.result.loss += apart * apart / static_cast<double>(batch_);
      dx(b * o_.tokens + o_.tokens - 1, 3) = 2.0 * apart / static_cast<double>(batch_);
    }
    for (int l = o_.layers - 1; l >= 0; --l) dx = backward(l, layers[static_cast<std::size_t>(l)], dx);
    done.gradient = gradient_;
    return done;
  }

 private:
  struct Normed {
    Matrix raw, out;
  };
  struct Layer {
    Matrix x, value, next;
    Normed query, key;
  };

  std::int64_t width() const { return o_.layer_form == models::LayerForm::kCovariate ? 3 : 4; }
  const models::ParameterPlace* place(int layer, const std::string& name) const {
    for (const models::ParameterPlace& place : places_) {
      if (place.name == fmt::format("layer{}.{}", layer + 1, name)) return &place;
    }
    return nullptr;
  }
  double number(int layer, const std::string& name, std::int64_t i, double absent) const {
    const models::ParameterPlace* at = place(layer, name);
    return at == nullptr ? absent : values_[static_cast<std::size_t>(at->first + i)];
  }
  void add_gradient(int layer, const std::string& name, std::int64_t i, double by) {
    if (const models::ParameterPlace* at = place(layer, name)) gradient_[static_cast<std::size_t>(at->first + i)] += by;
  }
  Matrix matrix(int layer, const std::string& name) const {
    Matrix m{width(), width()};
    for (std::int64_t i = 0; i < width() * width(); ++i)
      m.at[static_cast<std::size_t>(i)] = number(layer, name, i, 0.0);
    return m;
  }
  void add_gradient(int layer, const std::string& name, const Matrix& by) {
    for (std::int64_t r = 0; r < width(); ++r) {
      for (std::int64_t c = 0; c < width(); ++c) add_gradient(layer, name, r * width() + c, by(r, c));
    }
  }
  Matrix value_map(int layer) const {
    if (o_.layer_form != models::LayerForm::kCovariate) return matrix(layer, "value");
    Matrix whole{4, 4};
    for (int i = 0; i < 9; ++i) whole(i / 3, i % 3) = number(layer, "value", i, 0.0);
    whole(3, 3) = 1.0;
    return whole;
  }

  // The norm of one row's entries and, of an upstream gradient, what comes to them.
  struct RowNorm {
    double mean = 0.0, by = 1.0;
    Numbers unit;
  };
  RowNorm norm_of(const Matrix& raw, std::int64_t i) const {
    RowNorm row{.unit = Numbers(static_cast<std::size_t>(raw.width))};
    const auto n = static_cast<double>(raw.width);
    double squares = 0.0;
    if (o_.qk_norm == models::QkNorm::kLayer) {
      for (std::int64_t c = 0; c < raw.width; ++c) row.mean += raw(i, c) / n;
    }
    for (std::int64_t c = 0; c < raw.width; ++c) squares += std::pow(raw(i, c) - row.mean, 2);
    if (o_.qk_norm != models::QkNorm::kNo) {
      row.by = 1.0 / std::sqrt((o_.qk_norm == models::QkNorm::kL2 ? squares : squares / n) + 1e-5);
    }
    for (std::int64_t c = 0; c < raw.width; ++c)
      row.unit[static_cast<std::size_t>(c)] = (raw(i, c) - row.mean) * row.by;
    return row;
  }
  double gain(int layer, const std::string& side, std::int64_t c) const {
    if (o_.qk_norm == models::QkNorm::kL2) return side == "query" ? number(layer, "gain", 0, 1.0) : 1.0;
    return number(layer, side + "_norm.gain", c, 1.0);
  }
  Normed normed(int layer, const std::string& side, const Matrix& raw) const {
    Normed both{raw, Matrix{raw.rows, raw.width}};
    for (std::int64_t i = 0; i < raw.rows; ++i) {
      const RowNorm row = norm_of(raw, i);
      for (std::int64_t c = 0; c < raw.width; ++c) {
        both.out(i, c) =
            row.unit[static_cast<std::size_t>(c)] * gain(layer, side, c) + number(layer, side + "_norm.bias", c, 0.0);
      }
    }
    return both;
  }
  Matrix normed_backward(int layer, const std::string& side, const Normed& of, const Matrix& due) {
    Matrix to{due.rows, due.width};
    const auto n = static_cast<double>(due.width);
    for (std::int64_t i = 0; i < due.rows; ++i) {
      const RowNorm row = norm_of(of.raw, i);
      double along = 0.0, sum = 0.0;
      for (std::int64_t c = 0; c < due.width; ++c) {
        const double unit = row.unit[static_cast<std::size_t>(c)];
        add_gradient(layer, side + "_norm.gain", c, due(i, c) * unit);
        add_gradient(layer, side + "_norm.bias", c, due(i, c));
        if (side == "query") add_gradient(layer, "gain", 0, due(i, c) * unit);
        along += due(i, c) * gain(layer, side, c) * unit;
        sum += due(i, c) * gain(layer, side, c);
      }
      for (std::int64_t c = 0; c < due.width; ++c) {
        const double unit = row.unit[static_cast<std::size_t>(c)], du = due(i, c) * gain(layer, side, c);
        switch (o_.qk_norm) {
          case models::QkNorm::kNo: to(i, c) = du; break;
          case models::QkNorm::kLayer: to(i, c) = row.by * (du - sum / n - unit * along / n); break;
          case models::QkNorm::kRms: to(i, c) = row.by * (du - unit * along / n); break;
          case models::QkNorm::kL2: to(i, c) = row.by * (du - unit * along); break;
        }
      }
    }
    return to;
  }

  attention::HeadsView<const double> view(const Matrix& of) const {
    return {of.at.data(), o_.tokens * of.width, o_.tokens * of.width, of.width};
  }
  attention::HeadsView<double> view(Matrix& of) const {
    return {of.at.data(), o_.tokens * of.width, o_.tokens * of.width, of.width};
  }
  attention::AttentionInput<double> input(const Layer& of) const {
    attention::AttentionInput<double> in;
    in.form = form_;
    in.shape = {.batch = batch_,
                .queries = o_.tokens,
                .keys = o_.tokens,
                .width = of.query.out.width,
                .value_width = models::kTokenWidth};
    in.query = view(of.query.out);
    in.key = view(of.key.out);
    in.value = view(of.value);
    in.sink = &sink_;
    in.causal = o_.causal;
    return in;
  }

  Layer forward(int l, const Matrix& x, models::AttentionOnlyResult& result) {
    const Matrix seen = with_width(x, width());
    Layer layer{.x = x,
                .value = product(x, value_map(l)),
                .next = Matrix{x.rows, x.width},
                .query = normed(l, "query", product(seen, matrix(l, "query"))),
                .key = normed(l, "key", product(seen, matrix(l, "key")))};
    sink_ = number(l, "sink", 0, 0.0);
    const auto rows = static_cast<std::size_t>(x.rows);
    Numbers entropy(rows), squares(rows), maximum(rows), first(rows), sums(rows), variance(rows), skewness(rows);
    Matrix output{x.rows, x.width};
    attention::oracle_attend<double>(input(layer), {.output = view(output),
                                                    .statistics = {.entropy = entropy.data(),
                                                                   .sum_of_squares = squares.data(),
                                                                   .maximum = maximum.data(),
                                                                   .first_key = first.data(),
                                                                   .row_sum = sums.data(),
                                                                   .logit_variance = variance.data(),
                                                                   .skewness = skewness.data()}});
    const bool plain = o_.layer_form == models::LayerForm::kPlain;
    for (std::size_t i = 0; i < x.at.size(); ++i) {
      layer.next.at[i] = plain ? output.at[i] : x.at[i] + output.at[i] / o_.tokens;
    }
    models::AttentionOnlyStatistics is;
    const auto n = static_cast<double>(rows);
    for (std::size_t i = 0; i < rows; ++i) {
      is.entropy += entropy[i] / n;
      is.logit_variance += (form_.feature == reweighting::FeatureMap::kNone ? variance[i] : raw_variance(layer, i)) / n;
      is.maximum += maximum[i] / n;
      is.first_key += first[i] / n;
      is.skewness += skewness[i] / n;
      is.row_sum += sums[i] / n;
      is.dead_rows += (dead(layer, static_cast<std::int64_t>(i), maximum[i]) ? 1.0 : 0.0) / n;
    }
    double apart = 0.0;
    for (const double h : entropy) apart += std::pow(h - is.entropy, 2) / n;
    is.entropy_deviation = std::sqrt(apart);
    for (std::int64_t b = 0; b < batch_; ++b) {
      double sum = 0.0;
      for (int i = 0; i < o_.tokens; ++i) sum += squares[static_cast<std::size_t>(b * o_.tokens + i)];
      is.frobenius_norm += std::sqrt(sum) / static_cast<double>(batch_);
    }
    result.layers.push_back(is);
    return layer;
  }
  // Of q·k over the keys of the row's sequence, before the feature map.
  double raw_variance(const Layer& layer, std::size_t row) const {
    const auto i = static_cast<std::int64_t>(row), first = i / o_.tokens * o_.tokens;
    const std::int64_t keys = o_.causal ? i - first + 1 : o_.tokens;
    double sum = 0.0, squares = 0.0;
    for (std::int64_t j = first; j < first + keys; ++j) {
      double z = 0.0;
      for (std::int64_t c = 0; c < layer.query.out.width; ++c) z += layer.query.out(i, c) * layer.key.out(j, c);
      sum += z;
      squares += z * z;
    }
    return squares / static_cast<double>(keys) - std::pow(sum / static_cast<double>(keys), 2);
  }
  bool dead(const Layer& layer, std::int64_t row, double maximum) const {
    if (form_.feature != reweighting::FeatureMap::kRelu) return maximum == 0.0;
    for (std::int64_t c = 0; c < layer.query.out.width; ++c) {
      if (layer.query.out(row, c) > 0.0) return false;
    }
    return true;
  }

  Matrix backward(int l, const Layer& layer, const Matrix& due) {
    const bool plain = o_.layer_form == models::LayerForm::kPlain;
    Matrix d_output = due, dx = due;
    for (double& value : d_output.at) value /= plain ? 1.0 : o_.tokens;
    if (plain) dx = Matrix{due.rows, due.width};
    Matrix d_query{due.rows, width()}, d_key{due.rows, width()}, d_value{due.rows, 4};
    double d_sink = 0.0;
    sink_ = number(l, "sink", 0, 0.0);
    attention::AttentionGradient<double> to;
    to.query = view(d_query);
    to.key = view(d_key);
    to.value = view(d_value);
    to.sink = &d_sink;
    attention::oracle_attend_backward<double>(input(layer), view(std::as_const(d_output)), {}, to);
    add_gradient(l, "sink", 0, d_sink);
    const Matrix seen = transposed(with_width(layer.x, width()));
    const Matrix of_query = normed_backward(l, "query", layer.query, d_query);
    const Matrix of_key = normed_backward(l, "key", layer.key, d_key);
    add_gradient(l, "query", product(seen, of_query));
    add_gradient(l, "key", product(seen, of_key));
    add_gradient(l, "value", product(transposed(layer.x), d_value));
    add(dx, with_width(product(of_query, transposed(matrix(l, "query"))), 4));
    add(dx, with_width(product(of_key, transposed(matrix(l, "key"))), 4));
    add(dx, product(d_value, transposed(value_map(l))));
    return dx;
  }

  models::AttentionOnlyOptions o_;
  reweighting::AttentionForm form_;
  std::vector<models::ParameterPlace> places_;
  std::span<const double> values_;
  Numbers gradient_;
  std::int64_t batch_ = 0;
  double sink_ = 0.0;
};

}  // namespace

Reference attention_only_reference(const models::AttentionOnlyOptions& options, std::span<const double> values,
                                   std::span<const double> tokens, std::span<const double> answers) {
  return Model(options, values).run(tokens, answers);
}

}  // namespace polariscope::testing
