// polariscope bound: how steep a layer of attention is, and what bounds it.
#include "commands.h"
#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/names.h"
#include "polariscope/base/npy_array.h"
#include "polariscope/base/safetensors.h"
#include "polariscope/base/terminal.h"
#include "polariscope/metrics/lipschitz_bound.h"
#include "settings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace polariscope::cli {
namespace {

struct BoundSettings {
  std::string tokens, query, key;
  double scale = 1.0;
  bool transposed = false, json = false;
};

struct Matrix {
  std::int64_t rows, columns;
  std::vector<double> values;  // [rows, columns]
};

Matrix matrix_of(std::string_view place, const std::vector<std::int64_t>& shape, std::vector<double> values) {
  if (shape.size() != 2) {
    throw Error("{}: an array of shape [{}]: a matrix is needed", place, fmt::join(shape, ", "));
  }
  return {shape[0], shape[1], std::move(values)};
}

// FILE.npy or FILE.safetensors:NAME.
Matrix read_matrix(const std::string& place) {
  constexpr std::string_view kSuffix = ".safetensors";
  const std::size_t colon = place.rfind(std::string(kSuffix) + ":");
  if (colon == std::string::npos) {
    if (place.ends_with(kSuffix)) throw Error("{}: which of its tensors? Write {}:NAME", place, place);
    NpyArray array = npy_array(read_file(place), place);
    return matrix_of(place, array.shape, std::move(array.values));
  }
  const Safetensors file(place.substr(0, colon + kSuffix.size()));
  const std::string name = place.substr(colon + kSuffix.size() + 1);
  const StoredTensor* tensor = file.find(name);
  if (tensor == nullptr) {
    std::vector<std::string_view> names;
    for (const StoredTensor& other : file.tensors()) names.push_back(other.name);
    throw Error("{}", unknown_name("tensor", name, names));
  }
  return matrix_of(place, tensor->shape, to_doubles(*tensor));
}

Matrix transposed(const Matrix& m) {
  Matrix turned{m.columns, m.rows, std::vector<double>(m.values.size())};
  for (std::int64_t i = 0; i < m.rows; ++i) {
    for (std::int64_t j = 0; j < m.columns; ++j) turned.values[j * m.rows + i] = m.values[i * m.columns + j];
  }
  return turned;
}

void print(const metrics::SoftmaxLayer& layer, const metrics::LipschitzBound& bound) {
  const double uniform = std::log(static_cast<double>(layer.tokens));
  const auto row = [](std::string what, double value, std::string note) {
    return std::vector<std::string>{std::move(what), significant(value), std::move(note)};
  };
  const auto share = [](double part, double whole) {
    return fmt::format("{} % of it", significant(100.0 * part / whole, 3));
  };
  fmt::print("{} tokens of width {}, head width {}\n", layer.tokens, layer.width, layer.head_width);
  fmt::print(
      "{}",
      aligned_table(
          {{"quantity", "value", ""},
           row("left side ‖DA‖_{F,F}", bound.left, "largest singular value of the Jacobian"),
           row("right side of (9), as printed", bound.printed(),
               fmt::format("{} times the left side; from below", significant(bound.printed() / bound.left, 3))),
           row("  ‖P‖_F", bound.frobenius_norm, share(bound.frobenius_norm, bound.printed())),
           row("  √2 max‖x‖ ‖DZ‖_{F,(2,∞)}", bound.printed_second(), share(bound.printed_second(), bound.printed())),
           row("right side, provable", bound.provable(),
               fmt::format("{} times the left side; exact", significant(bound.provable() / bound.left, 3))),
           row("  ‖P‖₂", bound.spectral_norm, share(bound.spectral_norm, bound.provable())),
           row("  max‖x‖ ‖DZ‖_{F,F}/√2", bound.provable_second(), share(bound.provable_second(), bound.provable())),
           row("attention entropy H", bound.entropy,
               fmt::format("nats; uniform attention has {}", significant(uniform))),
           row("longest token max‖x‖", bound.largest_token, "")}));
}

nlohmann::ordered_json as_json(const metrics::SoftmaxLayer& layer, const metrics::LipschitzBound& bound) {
  return {{"tokens", layer.tokens},
          {"width", layer.width},
          {"head_width", layer.head_width},
          {"scale", layer.scale},
          {"left", bound.left},
          {"printed", bound.printed()},
          {"frobenius_norm", bound.frobenius_norm},
          {"printed_second", bound.printed_second()},
          {"provable", bound.provable()},
          {"spectral_norm", bound.spectral_norm},
          {"provable_second", bound.provable_second()},
          {"entropy", bound.entropy},
          {"largest_token", bound.largest_token},
          {"frobenius_share", bound.frobenius_norm / bound.printed()},
          {"printed_over_left", bound.printed() / bound.left},
          {"provable_over_left", bound.provable() / bound.left}};
}

int run(const BoundSettings& settings) {
  const Matrix x = read_matrix(settings.tokens);
  Matrix query = read_matrix(settings.query), key = read_matrix(settings.key);
  if (settings.transposed) {
    query = transposed(query);
    key = transposed(key);
  }
  for (const auto& [name, place, weights] :
       {std::tuple("--query", &settings.query, &query), std::tuple("--key", &settings.key, &key)}) {
    if (weights->rows == x.columns && weights->columns == query.columns) continue;
    throw Error(
        "{} {} is [{}, {}]: it must be [{}, {}], token width by head width; --transposed if it is the other way "
        "round",
        name, *place, weights->rows, weights->columns, x.columns, query.columns);
  }
  const metrics::SoftmaxLayer layer{.tokens = x.rows,
                                    .width = x.columns,
                                    .head_width = query.columns,
                                    .x = x.values,
                                    .query = query.values,
                                    .key = key.values,
                                    .scale = settings.scale};
  const metrics::LipschitzBound bound = metrics::lipschitz_bound(layer);
  if (settings.json) {
    fmt::print("{}\n", as_json(layer, bound).dump());
  } else {
    print(layer, bound);
  }
  return 0;
}

}  // namespace

Command add_bound(CLI::App& app) {
  CLI::App* command = app.add_subcommand("bound", "How steep a layer of softmax attention is, and what bounds it");
  auto settings = std::make_shared<BoundSettings>();
  command->add_option("--tokens", settings->tokens, "X, [tokens, width]: FILE.npy or FILE.safetensors:TENSOR")
      ->type_name("FILE")
      ->required();
  command->add_option("--query", settings->query, "W_Q, [width, head width], queries are X W_Q")
      ->type_name("FILE")
      ->required();
  command->add_option("--key", settings->key, "W_K, [width, head width]")->type_name("FILE")->required();
  command->add_option("--scale", settings->scale, "Of the scores X W_Q (X W_K)ᵀ; models often take 1/√(head width)")
      ->type_name("X")
      ->capture_default_str();
  command->add_flag("--transposed", settings->transposed,
                    "W_Q and W_K are [head width, width], as torch.nn.Linear keeps them");
  command->add_flag("--json", settings->json, "Print one JSON object instead of a table");
  command->footer(
      "Both sides of equation (9) of the Lipschitz paper for A(X) = softmax(scale · X W_Q (X W_K)ᵀ) X.\n"
      "Examples:\n"
      "  polariscope bound --tokens x.npy --query wq.npy --key wk.npy\n"
      "  polariscope bound --tokens x.npy --query layer.safetensors:wq --key layer.safetensors:wk --transposed\n"
      "  polariscope bound --tokens x.npy --query wq.npy --key wk.npy --scale 0.125 --json");
  return [=] {
    require_values(*command);
    return run(*settings);
  };
}

}  // namespace polariscope::cli
