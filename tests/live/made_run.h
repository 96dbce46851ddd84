// A run's folder as a training leaves it, without the training.
#pragma once

#include "polariscope/base/files.h"
#include "support/temporary_folder.h"

#include <fmt/format.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

namespace polariscope::testing {

// A line of a model of two layers and two heads. The loss is 1/step, every entropy below 1, but for a spike at step
// 777.
inline std::string step_line(std::int64_t step) {
  const double loss = step == 777 ? 1000.0 : 1.0 / static_cast<double>(step);
  return fmt::format(
      "{{\"step\":{},\"loss\":{},\"gradient_norm\":0.5,\"entropy\":[[0.1,0.3],[{},null]],\"frobenius_norm\":[[1,1],[1,"
      "1]]}}\n",
      step, loss, 0.5 + loss / 10000);
}

struct MadeRun {
  explicit MadeRun(const std::filesystem::path& at) : folder(at) {
    make_folder(folder);
    write_file(folder / "config.toml",
               "task = \"induction\"\nattention = \"softmax\"\nepochs = 2\ntraining-sequences = 1000\nbatch = 256\n");
  }

  void add_steps(std::int64_t first, std::int64_t last) const {
    std::ofstream log(folder / "metrics.jsonl", std::ios::app);
    for (std::int64_t step = first; step <= last; ++step) log << step_line(step);
  }
  void add_alarm(std::int64_t step, const std::string& sentence) const {
    std::ofstream(folder / "alarms.jsonl", std::ios::app) << fmt::format(
        "{{\"step\":{},\"kind\":\"collapse\",\"layer\":1,\"head\":2,\"sentence\":\"{}\"}}\n", step, sentence);
  }
  void add_rescue(std::int64_t step, std::int64_t back_to) const {
    std::ofstream(folder / "alarms.jsonl", std::ios::app)
        << fmt::format("{{\"step\":{},\"kind\":\"rescue\",\"back_to\":{},\"sentence\":\"back\"}}\n", step, back_to);
  }

  std::filesystem::path folder;
};

}  // namespace polariscope::testing
