// polariscope: an instrument for attention entropy.
#include "program.h"
#include "training_program.h"

int main(int argc, char** argv) {
  using namespace polariscope::cli;
  if (is_for_training_program(argc, argv)) return run_training_program(argv);
  const auto add_commands = [](CLI::App& app) {
    return std::map<std::string, Command>{
        {"audit", add_audit(app)},       {"bound", add_bound(app)},         {"edge", add_edge(app)},
        {"export", add_export(app)},     {"flow", add_flow(app)},           {"forecast", add_forecast(app)},
        {"list", add_list(app)},         {"reproduce", add_reproduce(app)}, {"sweep", add_sweep(app)},
        {"tokenize", add_tokenize(app)}, {"train", add_train(app)},         {"watch", add_watch(app)}};
  };
  return run_program(argc, argv,
                     {add_commands,
                      "Examples:\n"
                      "  polariscope reproduce             # the papers' experiments, to out/report.html\n"
                      "  polariscope list experiments\n"
                      "  polariscope flow --method flow --until 1e299 --check\n"
                      "  polariscope train --task induction --attention softmax --out run\n"
                      "  polariscope watch run             # in a browser, while it trains"});
}
