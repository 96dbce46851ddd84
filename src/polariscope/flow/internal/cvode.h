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
  // Never evaluates the system beyond `last`. Throws Error where the integrator gives up, Interrupted.
  double advance(double t, double last, std::span<double> y);
  // After advance: +1 or -1 for each root function that crossed zero upwards or downwards, else 0.
  // All zero when no root stopped it.
  std::span<const int> crossings() const;
  long long evaluations() const;

 private:
  struct Memory;
  std::unique_ptr<Memory> memory_;
};

}  // namespace polariscope::flow
