#include "polariscope/flow/start_arrays.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/base/names.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <regex>
#include <set>

namespace polariscope::flow {
namespace {

constexpr int kDeepest = 4;  // object, matrix, row, number

// One number, or throws naming where it stands.
double number_in(const nlohmann::json& value, std::string_view key, const std::string& where) {
  if (!value.is_number() || !std::isfinite(value.get<double>())) {
    throw Error("{}: \"{}\" holds {}: every entry must be a finite number", where, key, value.dump());
  }
  return value.get<double>();
}

std::vector<double> vector_in(const nlohmann::json& value, std::string_view key, const std::string& where) {
  if (!value.is_array()) throw Error("{}: \"{}\" is {}, expected a list of numbers", where, key, value.type_name());
  std::vector<double> numbers;
  for (const auto& entry : value) numbers.push_back(number_in(entry, key, where));
  return numbers;
}

std::vector<double> matrix_in(const nlohmann::json& value, std::string_view key, int rows, int columns,
                              const std::string& where) {
  const bool listed = value.is_array() && !value.empty();
  if (!listed || !std::all_of(value.begin(), value.end(), [](const auto& row) { return row.is_array(); })) {
    throw Error("{}: \"{}\" must be a list of rows of numbers", where, key);
  }
  std::vector<double> numbers;
  for (std::size_t r = 0; r < value.size(); ++r) {
    const std::vector<double> row = vector_in(value[r], key, where);
    if (static_cast<int>(row.size()) != columns || static_cast<int>(value.size()) != rows) {
      throw Error("{}: \"{}\" has {} rows and row {} has {} numbers, expected {} rows of {}", where, key, value.size(),
                  r, row.size(), rows, columns);
    }
    numbers.insert(numbers.end(), row.begin(), row.end());
  }
  return numbers;
}

std::vector<double> transposed(const std::vector<double>& m, int rows, int columns) {
  std::vector<double> result(m.size());
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < columns; ++c) result[c * rows + r] = m[r * columns + c];
  }
  return result;
}

bool token_rows(const Problem& problem) { return problem.loss == Loss::kKl && problem.model != Model::kTied; }

int rows_of(const nlohmann::json& matrix) { return matrix.is_array() ? static_cast<int>(matrix.size()) : 0; }
int columns_of(const nlohmann::json& matrix) { return rows_of(matrix) > 0 ? rows_of(matrix.front()) : 0; }

void check_keys(const nlohmann::json& arrays, const Problem& problem, const std::string& where) {
  if (!arrays.is_object()) throw Error("{}: expected a JSON object with any of V, U, a, beta, X, p_star", where);
  constexpr std::array<std::string_view, 6> kKnown{"V", "U", "a", "beta", "X", "p_star"};
  for (const auto& [key, value] : arrays.items()) {
    if (std::find(kKnown.begin(), kKnown.end(), key) == kKnown.end()) {
      throw Error("{}: {}", where, unknown_name("array", key, kKnown));
    }
  }
  const auto refuse = [&](const char* key, std::string_view why) {
    if (arrays.contains(key)) throw Error("{}: \"{}\" has no place here: {}", where, key, why);
  };
  if (problem.model == Model::kTied) refuse("V", "the tied model's matrix is U");
  if (problem.model != Model::kTied) refuse("U", "only the tied model has a U; give V");
  if (problem.loss == Loss::kKl) refuse("beta", "the kl loss has a target distribution p_star");
  if (problem.loss != Loss::kKl) refuse("p_star", "only the kl loss has a target distribution");
  if (problem.loss != Loss::kLeastSquares) refuse("X", "only the least-squares loss has a design matrix");
}

// Sizes are taken from the arrays, so they must have some.
void require_lists(const nlohmann::json& arrays, const std::string& where) {
  if (!arrays.is_object()) throw Error("{}: expected a JSON object with any of V, U, a, beta, X, p_star", where);
  for (const auto& [key, value] : arrays.items()) {
    if (!value.is_array() || value.empty()) {
      throw Error("{}: \"{}\" must be a list of numbers or of rows of numbers, and not empty", where, key);
    }
    if ((key == "V" || key == "U" || key == "X") && !value.front().is_array()) {
      throw Error("{}: \"{}\" must be a list of rows of numbers", where, key);
    }
    if (value.front().is_array() && value.front().empty()) throw Error("{}: row 0 of \"{}\" is empty", where, key);
  }
}

}  // namespace

StartOptions sized_by(const nlohmann::json& arrays, Model model, Loss loss, StartOptions options) {
  const auto has = [&](const char* key) { return arrays.is_object() && arrays.contains(key); };
  if (has("a")) {
    const auto& a = arrays["a"];
    const bool nested = columns_of(a) > 0;
    options.tokens = nested ? columns_of(a) : rows_of(a);
    if (nested) options.rows = rows_of(a);
    if (model == Model::kTied) options.outputs = options.tokens;
  }
  if (has("beta") && loss != Loss::kLeastSquares) options.outputs = rows_of(arrays["beta"]);
  if (has("beta")) options.samples = rows_of(arrays["beta"]);
  if (has("X")) {
    options.outputs = columns_of(arrays["X"]);
    options.samples = rows_of(arrays["X"]);
  }
  if (has("p_star")) options.outputs = rows_of(arrays["p_star"]);
  for (const char* key : {"V", "U"}) {
    if (!has(key)) continue;
    const bool token_major = loss == Loss::kKl && model != Model::kTied;
    options.outputs = token_major ? columns_of(arrays[key]) : rows_of(arrays[key]);
    options.tokens = token_major ? rows_of(arrays[key]) : columns_of(arrays[key]);
  }
  return options;
}

void apply_arrays(Start& start, const nlohmann::json& arrays, const std::string& where) {
  Problem& problem = start.problem;
  check_keys(arrays, problem, where);
  const int d = problem.outputs;
  const int k = problem.tokens;
  const auto vector = [&](const char* key, std::size_t size, std::string_view why, std::vector<double>& to) {
    if (!arrays.contains(key)) return;
    to = vector_in(arrays[key], key, where);
    if (to.size() != size) {
      throw Error("{}: \"{}\" has {} numbers, expected {} ({})", where, key, to.size(), size, why);
    }
  };
  if (arrays.contains("X")) {
    problem.design = matrix_in(arrays["X"], "X", problem.samples(), d, where);
  }
  vector("beta", problem.beta.size(), problem.loss == Loss::kLeastSquares ? "one a row of X" : "one a row of V",
         problem.beta);
  vector("p_star", d, "one an output", problem.target);
  if (arrays.contains("a")) {
    const auto& a = arrays["a"];
    start.state.scores = columns_of(a) > 0 ? matrix_in(a, "a", problem.rows, k, where) : vector_in(a, "a", where);
    if (start.state.scores.size() != static_cast<std::size_t>(problem.rows) * k) {
      throw Error("{}: \"a\" has {} numbers, expected {} (one a token, {} row{})", where, start.state.scores.size(),
                  problem.rows * k, problem.rows, problem.rows == 1 ? "" : "s");
    }
  }

  const char* key = problem.model == Model::kTied ? "U" : "V";
  if (problem.model == Model::kReduced) {
    // V was replaced by u when the start was drawn, so a new β needs its V as well.
    if (!arrays.contains("V")) {
      if (arrays.contains("beta")) throw Error("{}: the reduced model takes beta together with V (u = Vᵀβ)", where);
    } else {
      Problem full = problem;
      full.model = Model::kValueSoftmax;
      start.state.values = matrix_in(arrays["V"], "V", d, k, where);
      start.state = reduced(full, start.state);
    }
  } else if (arrays.contains(key)) {
    start.state.values = token_rows(problem) ? transposed(matrix_in(arrays[key], key, k, d, where), k, d)
                                             : matrix_in(arrays[key], key, d, k, where);
  }
  validate(problem, start.state);
}

nlohmann::json read_arrays(const std::filesystem::path& path) {
  const std::string text = read_file(path);
  try {
    using Event = nlohmann::json::parse_event_t;
    std::set<std::string> names;
    nlohmann::json arrays = nlohmann::json::parse(text, [&](int depth, Event event, nlohmann::json& parsed) {
      // The parser could nest deeper than the stack of whoever reads the result.
      if (depth > kDeepest) throw Error("{} is nested deeper than rows of numbers in an object", path.string());
      // Of two the last would win without a word.
      if (event == Event::key && depth == 1 && !names.insert(parsed.get<std::string>()).second) {
        throw Error("{} has \"{}\" twice: keep one", path.string(), parsed.get<std::string>());
      }
      return true;
    });
    require_lists(arrays, path.string());
    return arrays;
  } catch (const nlohmann::json::exception& problem) {
    std::smatch found;
    if (std::regex_search(text, found, std::regex("-?(NaN|Infinity)", std::regex::icase))) {
      const auto line = 1 + std::count(text.begin(), text.begin() + found.position(), '\n');
      throw Error("{} holds {} at line {}: every number must be finite", path.string(), found.str(), line);
    }
    const std::string words = problem.what();  // "[json.exception.parse_error.101] parse error at ..."
    throw Error("{} is not a JSON object of arrays: {}", path.string(), words.substr(words.find("] ") + 2));
  }
}

nlohmann::json values_as_rows(const Problem& problem, const State& state) {
  const bool token_major = token_rows(problem);
  const int rows = token_major ? problem.tokens : problem.outputs;
  const int columns = token_major ? problem.outputs : problem.tokens;
  const std::vector<double> m = token_major ? transposed(state.values, problem.outputs, problem.tokens) : state.values;
  nlohmann::json result = nlohmann::json::array();
  for (int r = 0; r < rows; ++r) {
    result.push_back(std::vector<double>(m.begin() + r * columns, m.begin() + (r + 1) * columns));
  }
  return result;
}

}  // namespace polariscope::flow
