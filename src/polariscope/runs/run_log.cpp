#include "polariscope/runs/run_log.h"

#include "polariscope/base/error.h"
#include "polariscope/runs/internal/read_steps.h"

#include <limits>

namespace polariscope::runs {
namespace {

using nlohmann::json;

constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();

double number_of(const json& value) { return value.is_number() ? value.get<double>() : kNothing; }

// Of a layer's heads, [heads].
double mean_of(const json& heads) {
  double sum = 0.0;
  for (const json& head : heads) sum += number_of(head);
  return heads.empty() ? kNothing : sum / static_cast<double>(heads.size());
}

// A column that begins late has nothing at the steps before.
void put(std::vector<double>& column, std::size_t at, double value) {
  column.resize(at, kNothing);
  column.push_back(value);
}

void add_step(RunLog& log, const json& step) {
  const std::size_t at = log.steps();
  log.step.push_back(step.at("step").get<double>());
  for (const auto& [name, value] : step.items()) {
    if (name == "step") continue;
    if (!value.is_array()) {
      put(log.numbers[name], at, number_of(value));
      continue;
    }
    std::vector<std::vector<double>>& columns = log.layers[name];
    if (columns.size() < value.size()) columns.resize(value.size());
    for (std::size_t layer = 0; layer < value.size(); ++layer) put(columns[layer], at, mean_of(value[layer]));
  }
}

}  // namespace

const std::vector<double>& RunLog::number(const std::string& name) const {
  const auto found = numbers.find(name);
  if (found == numbers.end()) throw Error("the log of the training has no \"{}\"", name);
  return found->second;
}

const std::vector<double>& RunLog::layer(const std::string& name, std::size_t layer) const {
  const auto found = layers.find(name);
  if (found == layers.end() || layer >= found->second.size()) {
    throw Error("the log of the training has no \"{}\" of layer {}", name, layer + 1);
  }
  return found->second[layer];
}

RunLog read_run_log(const std::filesystem::path& path) {
  RunLog log;
  read_steps(path, "a step as JSON", [&](const json& step) {
    add_step(log, step);
    return true;
  });
  for (auto& [name, column] : log.numbers) column.resize(log.steps(), kNothing);
  for (auto& [name, columns] : log.layers) {
    for (std::vector<double>& column : columns) column.resize(log.steps(), kNothing);
  }
  return log;
}

void cut_after(RunLog& log, double last) {
  std::size_t keep = log.steps();
  while (keep > 1 && log.step[keep - 1] > last) --keep;
  log.step.resize(keep);
  for (auto& [name, column] : log.numbers) column.resize(keep);
  for (auto& [name, columns] : log.layers) {
    for (std::vector<double>& column : columns) column.resize(keep);
  }
}

}  // namespace polariscope::runs
