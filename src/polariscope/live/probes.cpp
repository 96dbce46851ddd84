#include "polariscope/live/probes.h"

#include "polariscope/base/error.h"
#include "polariscope/base/files.h"
#include "polariscope/live/run_state.h"

#include <nlohmann/json.hpp>

#include <system_error>
#include <utility>

namespace polariscope::live {
namespace {

using nlohmann::json;

ProbeSentence sentence_of(const json& given, const std::filesystem::path& file, std::size_t number) {
  ProbeSentence sentence{.tokens = given.at("tokens").get<std::vector<std::string>>(), .weights = {}};
  const std::size_t tokens = sentence.tokens.size();
  for (const json& layer : given.at("layers")) {
    auto& heads = sentence.weights.emplace_back();
    for (const json& head : layer) {
      heads.push_back(head.get<std::vector<float>>());
      if (heads.back().size() == tokens * tokens) continue;
      throw Error("{}: sentence {} has {} tokens, but layer {}, head {} has {} weights: expected {}", file.string(),
                  number, tokens, sentence.weights.size(), heads.size(), heads.back().size(), tokens * tokens);
    }
  }
  return sentence;
}

}  // namespace

Probes read_probes(const std::filesystem::path& file) {
  constexpr std::uintmax_t kLargest = 256 << 20;
  std::error_code unknown;
  if (const auto size = std::filesystem::file_size(file, unknown); !unknown && size > kLargest) {
    throw Error("{}: is of {} MB: expected 256 at most", file.string(), size >> 20U);
  }
  try {
    const json given = json::parse(read_file(file));
    Probes probes{.step = given.at("step"), .sentences = {}};
    for (const json& one : given.at("sentences")) {
      probes.sentences.push_back(sentence_of(one, file, probes.sentences.size() + 1));
    }
    return probes;
  } catch (const json::exception&) {
    throw Error("{}: expected probe sentences with their tokens and layers, as JSON", file.string());
  }
}

std::shared_ptr<const Probes> ProbeFile::probes() {
  const std::lock_guard hold(mutex_);
  const double written = written_at(path_);
  if (written == 0.0) return nullptr;
  if (probes_ == nullptr || written != written_) {
    probes_ = nullptr;
    probes_ = std::make_shared<const Probes>(read_probes(path_));
    written_ = written;
  }
  return probes_;
}

}  // namespace polariscope::live
