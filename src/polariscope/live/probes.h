// The attention of probe sentences: a training that has such writes it into its folder now and then.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace polariscope::live {

struct ProbeSentence {
  std::vector<std::string> tokens;
  // [layers][heads], each N×N row-major: the weight that query i gives to key j.
  std::vector<std::vector<std::vector<float>>> weights;
};
struct Probes {
  std::int64_t step = 0;
  std::vector<ProbeSentence> sentences;
};

// Of a file {"step": 120, "sentences": [{"tokens": ["The", " cat"], "layers": [[[N·N weights] a head] a layer]}]}.
// Throws Error for anything else, with what is wrong, and for a file of more than 256 MB.
Probes read_probes(const std::filesystem::path& file);

// Reads a file again when it has changed. Safe from any number of threads.
class ProbeFile {
 public:
  explicit ProbeFile(std::filesystem::path path) : path_(std::move(path)) {}

  // nullptr where there is no file. Throws Error as read_probes() does.
  std::shared_ptr<const Probes> probes();

 private:
  std::filesystem::path path_;
  std::mutex mutex_;
  double written_ = 0.0;
  std::shared_ptr<const Probes> probes_;
};

}  // namespace polariscope::live
