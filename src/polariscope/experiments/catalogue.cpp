#include "polariscope/base/error.h"
#include "polariscope/base/names.h"
#include "polariscope/experiments/experiments.h"

#include <algorithm>
#include <array>

namespace polariscope::experiments {

namespace {

constexpr std::array<std::string_view, 3> kPresetNames{"quick", "small", "paper"};  // in the order of Preset

}  // namespace

std::string_view preset_name(Preset preset) { return kPresetNames[static_cast<std::size_t>(preset)]; }

Preset find_preset(std::string_view name) {
  const auto found = std::ranges::find(kPresetNames, name);
  if (found == kPresetNames.end()) throw Error("{}", unknown_name("preset", name, kPresetNames));
  return static_cast<Preset>(found - kPresetNames.begin());
}

const std::vector<Experiment>& catalogue() {
  static const std::vector<Experiment> kExperiments{
      a_fig2(),           a_fig3(),   a_fig10(),     a_fig11(),   a_fig12(),  a_fig13(),       a_rows(),    a_linear(),
      a_phase(),          a_thm3_2(), a_thm3_3(),    a_lem_b_1(), a_lem3_5(), a_c1(),          a_lem_d_1(), a_lem_d_2(),
      a_lem_d_4(),        a_fig1(),   a_fig4(),      a_fig_f2(),  a_fig7(),   a_fig5(),        a_fig6(),    a_fig9(),
      a_fig_f3(),         b_fig2(),   b_fig9(),      b_prop5_2(), b_bound9(), b_eq20(),        b_fig1(),    b_fig3(),
      b_fig4(),           b_fig6(),   b_fig8(),      b_fig10(),   b_fig11(),  b_sec4_1(),      b_sec5_3(),  b_app_d(),
      b_bound9_trained(), b_norm(),   b_batch(),     b_forms(),   b_maps(),   b_mitigations(), b_alarm(),   b_fig1top(),
      b_fig5(),           b_fig7(),   a_fig7_text(),
  };
  return kExperiments;
}

const Experiment& find_experiment(std::string_view id) {
  std::vector<std::string_view> known;
  for (const Experiment& experiment : catalogue()) {
    if (experiment.id == id) return experiment;
    known.push_back(experiment.id);
  }
  throw Error("{}", unknown_name("experiment", id, known));
}

}  // namespace polariscope::experiments
