#include "polariscope/live/internal/runs_json.h"

#include "polariscope/live/internal/json_text.h"
#include "polariscope/report/colours.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace polariscope::live {
namespace {

using Json = nlohmann::ordered_json;

// What is not UTF-8, in the name of a folder say, is replaced.
std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

Json json_of(const WatchedRun& run) {
  const auto reading = run.reading();
  const RunState& state = reading->state;
  Json json{{"id", run.id()},
            {"name", run.name()},
            {"phase", phase_name(state.phase)},
            {"step", nullptr},
            {"planned", reading->planned},
            {"rate", reading->rate},
            {"written", state.written},
            {"loss", nullptr},
            {"alarms", reading->alarm_count},
            {"rescues", reading->rescue_count},
            {"note", state.note}};
  if (!state.last) return json;
  json["step"] = state.last->step;
  const auto loss = std::ranges::find(state.last->numbers, "loss", &runs::LoggedNumber::name);
  if (loss != state.last->numbers.end()) json["loss"] = loss->value;  // dumped as null where it is not finite
  return json;
}

}  // namespace

std::string runs_json(const WatchedRuns& runs, double now) {
  Json list = Json::array();
  for (const auto& run : runs) list.push_back(json_of(*run));
  return dump({{"now", now}, {"runs", std::move(list)}});
}

std::string colours_json() {
  constexpr std::size_t kRuns = 8, kLayers = 64;
  Json runs = Json::array();
  for (std::size_t i = 0; i < kRuns; ++i) runs.push_back(report::palette_colour(i));
  return dump({{"runs", std::move(runs)}, {"layers", report::sequential_colours(kLayers)}});
}

std::string configs_json(const WatchedRuns& runs) {
  Json configs = Json::object();
  for (const auto& run : runs) configs[run->id()] = run->reading()->config;
  return dump(configs);
}

std::string alarms_json(const RunReading& reading) {
  Json list = Json::array();
  for (const RunAlarm& alarm : reading.alarms) {
    Json one{{"step", alarm.step}, {"kind", alarm.kind}};
    if (alarm.is_rescue()) {
      one["back_to"] = alarm.back_to;
    } else {
      one["layer"] = alarm.layer;
      one["head"] = alarm.head;
    }
    one["sentence"] = alarm.sentence;
    list.push_back(std::move(one));
  }
  return dump({{"count", reading.alarm_count}, {"rescues", reading.rescue_count}, {"alarms", std::move(list)}});
}

std::string probes_json(const Probes& probes) {
  Json sentences = Json::array();
  for (const ProbeSentence& sentence : probes.sentences) {
    Json heads = Json::array();
    for (const auto& layer : sentence.weights) heads.push_back(layer.size());
    sentences.push_back({{"tokens", sentence.tokens}, {"heads", std::move(heads)}});
  }
  return dump({{"step", probes.step}, {"sentences", std::move(sentences)}});
}

std::string probe_json(const Probes& probes, std::size_t sentence, std::size_t layer) {
  if (sentence >= probes.sentences.size()) return "";
  const auto& layers = probes.sentences[sentence].weights;
  if (layer < 1 || layer > layers.size()) return "";
  fmt::memory_buffer out;
  fmt::format_to(fmt::appender(out), R"({{"step":{},"heads":)", probes.step);
  put_list(out, layers[layer - 1], 0, [&](const std::vector<float>& head) {
    put_list(out, head, 0, [&](float weight) { put_number(out, weight); });
  });
  out.push_back('}');
  return fmt::to_string(out);
}

}  // namespace polariscope::live
