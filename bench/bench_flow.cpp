// ./dev bench flow: how fast the flow is, each case beside its peer. How to read it: docs/benchmarks.md.
#include "bench/child.h"
#include "bench/flow_cases.h"

int main(int argc, char** argv) {
  using namespace polariscope::bench;
  const Benchmark flow{.name = "flow",
                       .title = "How fast the flow is, each case beside its peer in the same run.",
                       .reading = "one thread and its processor time, but for the catalogue",
                       .examples =
                           "Examples:\n"
                           "  ./dev bench flow\n"
                           "  ./dev bench flow --case trajectory --repeats 21\n"
                           "  ./dev bench flow --case ensemble --case horizon --json flow.json",
                       .cases = flow_cases(),
                       .obstacle = [] { return peer_obstacle("numpy"); }};
  return run_benchmark(flow, argc, argv);
}
