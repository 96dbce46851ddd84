// ./dev bench attention: attention with all its statistics beside eager PyTorch. How to read it: docs/benchmarks.md.
#include "bench/attention_cases.h"

int main(int argc, char** argv) {
  using namespace polariscope::bench;
  const Benchmark attention{
      .name = "attention",
      .title = "Attention with the statistics of its rows, each case beside PyTorch in the same run.",
      .reading = "single precision; processor time of one thread, wall time of more",
      .examples =
          "Examples:\n"
          "  ./dev bench attention\n"
          "  ./dev bench attention --case medium --case training --repeats 21\n"
          "  ./dev bench attention --threads 2 --json attention.json\n"
          "  ./dev bench attention --accept",
      .cases = attention_cases(),
      .obstacle = attention_obstacle,
      .threaded = true};
  return run_benchmark(attention, argc, argv);
}
