// SUNDIALS CVODE behind a C++ face: one system, one integration.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace polariscope::flow {

class Cvode {
 public:
  struct System {
    int size = 0;
    // dy = f(t, y). Must not allocate: it is called thousands of times.
    std::function<void(double t, std::span<const double> y, std::span<double> dy)> derivative;
    int roots = 0;
    // g_i(t, y) whose changes of sign stop the integration.
    std::function<void(double t, std::span<const double> y, std::span<double> g)> root_functions;
  };
  struct Tolerances {
    double relative, absolute;
  };

  // stiff: BDF with Newton iteration, else Adams with functional iteration.
  Cvode(System system, bool stiff, Tolerances tolerances, double t, std::span<const double> y);
  ~Cvode();
  Cvode(const Cvode&) = delete;
  Cvode& operator=(const Cvode&) = delete;

  // Advances to `t` or to the first root before it. Returns the time reached; `y` is the state there.
  // Never evaluates the system beyond `last`. `unit`: the time in which a healthy system needs far fewer than 10^6
  // steps; slower than that, the system is stuck() at the time returned. Throws Error, Interrupted.
  double advance(double t, double last, double unit, std::span<double> y);
  // After advance: not 0 for each root function that reached zero. All zero when no root stopped it.
  std::span<const int> crossings() const;
  // After advance: its steps have shrunk to nothing, as at a kink that attracts from both sides.
  bool stuck() const;
  long long evaluations() const;

 private:
  struct Memory;
  std::unique_ptr<Memory> memory_;
};

}  // namespace polariscope::flow
