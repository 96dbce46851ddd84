#include "polariscope/flow/internal/cvode.h"

#include "polariscope/base/error.h"
#include "polariscope/base/interrupt.h"

#include <cvode/cvode.h>
#include <nvector/nvector_serial.h>
#include <sunlinsol/sunlinsol_dense.h>
#include <sunlinsol/sunlinsol_spgmr.h>
#include <sunmatrix/sunmatrix_dense.h>
#include <sunnonlinsol/sunnonlinsol_fixedpoint.h>

#include <algorithm>
#include <string>

namespace polariscope::flow {
namespace {

// Above this many unknowns a dense Jacobian costs more than Krylov iterations without one.
constexpr int kDenseUnknowns = 300;
// Of 12. In log t what the flow has settled into attracts at unit rate, over 688 units to t = 1e299, so the
// step is bound by stability; CVODE picks the order by accuracy alone, and above order 5 its choice is
// often one whose region of stability is so small that it takes ten times the steps.
constexpr int kHighestAdamsOrder = 5;
// Stuck: so many steps in which less than this share of a unit of time went by. At that pace a unit takes a million.
constexpr long kWatchedSteps = 10'000;
constexpr double kLeastShare = 1e-2;

std::span<double> numbers(N_Vector v) { return {N_VGetArrayPointer(v), static_cast<std::size_t>(N_VGetLength(v))}; }

}  // namespace

struct Cvode::Memory {
  System system;
  SUNContext context = nullptr;
  N_Vector y = nullptr;
  void* solver = nullptr;
  SUNMatrix matrix = nullptr;
  SUNLinearSolver linear = nullptr;
  SUNNonlinearSolver nonlinear = nullptr;
  std::vector<int> crossings;
  double reached = 0.0;  // time of y
  bool stuck = false;
  // Where the watch on the pace began.
  double watched_from = 0.0;
  long watched_steps = 0;
  std::string complaint;

  ~Memory() {
    CVodeFree(&solver);
    if (nonlinear != nullptr) SUNNonlinSolFree(nonlinear);
    if (linear != nullptr) SUNLinSolFree(linear);
    if (matrix != nullptr) SUNMatDestroy(matrix);
    if (y != nullptr) N_VDestroy(y);
    SUNContext_Free(&context);
  }

  // Of the calls that set the integrator up: each returns a flag that is 0, or what it made.
  void require(int flag) const {
    if (flag != 0) throw Error("the integrator could not be set up: {}", complaint);
  }
  template <class Made>
  Made* require(Made* made) const {
    if (made == nullptr) throw Error("the integrator could not be set up: there is no memory for it");
    return made;
  }

  static int derivative(double t, N_Vector y, N_Vector dy, void* self) {
    if (interrupted()) return -1;
    static_cast<Memory*>(self)->system.derivative(t, numbers(y), numbers(dy));
    return 0;
  }

  static int root_functions(double t, N_Vector y, double* g, void* self) {
    const System& system = static_cast<Memory*>(self)->system;
    system.root_functions(t, numbers(y), {g, static_cast<std::size_t>(system.roots)});
    return 0;
  }

  // Whether the steps since the watch began led nowhere; every kWatchedSteps the watch begins anew.
  bool crawls(double unit) {
    long steps = 0;
    CVodeGetNumSteps(solver, &steps);
    if (steps - watched_steps < kWatchedSteps) return false;
    if (reached - watched_from < kLeastShare * unit) return true;
    watched_from = reached;
    watched_steps = steps;
    return false;
  }

  static void complain(int, const char*, const char*, char* message, void* self) {
    static_cast<Memory*>(self)->complaint = message;
  }
};

Cvode::Cvode(System system, bool stiff, Tolerances tolerances, double t, std::span<const double> y)
    : memory_(std::make_unique<Memory>()) {
  Memory& m = *memory_;
  m.reached = m.watched_from = t;
  m.system = std::move(system);
  m.crossings.assign(m.system.roots, 0);
  m.require(SUNContext_Create(nullptr, &m.context));
  m.y = m.require(N_VNew_Serial(m.system.size, m.context));
  std::copy(y.begin(), y.end(), numbers(m.y).begin());
  m.solver = m.require(CVodeCreate(stiff ? CV_BDF : CV_ADAMS, m.context));
  m.require(CVodeSetErrHandlerFn(m.solver, Memory::complain, &m));
  m.require(CVodeInit(m.solver, Memory::derivative, t, m.y));
  m.require(CVodeSetUserData(m.solver, &m));
  m.require(CVodeSStolerances(m.solver, tolerances.relative, tolerances.absolute));
  m.require(CVodeSetMaxNumSteps(m.solver, kWatchedSteps));
  if (!stiff) {
    m.require(CVodeSetMaxOrd(m.solver, kHighestAdamsOrder));
    m.nonlinear = m.require(SUNNonlinSol_FixedPoint(m.y, 0, m.context));
    m.require(CVodeSetNonlinearSolver(m.solver, m.nonlinear));
  } else if (m.system.size <= kDenseUnknowns) {
    m.matrix = m.require(SUNDenseMatrix(m.system.size, m.system.size, m.context));
    m.linear = m.require(SUNLinSol_Dense(m.y, m.matrix, m.context));
    m.require(CVodeSetLinearSolver(m.solver, m.linear, m.matrix));
  } else {
    m.linear = m.require(SUNLinSol_SPGMR(m.y, SUN_PREC_NONE, 0, m.context));
    m.require(CVodeSetLinearSolver(m.solver, m.linear, nullptr));
  }
  if (m.system.roots > 0) m.require(CVodeRootInit(m.solver, m.system.roots, Memory::root_functions));
  m.require(CVodeSetNoInactiveRootWarn(m.solver));
}

Cvode::~Cvode() = default;

double Cvode::advance(double t, double last, double unit, std::span<double> y) {
  Memory& m = *memory_;
  std::fill(m.crossings.begin(), m.crossings.end(), 0);
  if (t <= m.reached) return m.reached;  // a root fell on it
  m.require(CVodeSetStopTime(m.solver, last));
  int flag = CV_TOO_MUCH_WORK;
  while (flag == CV_TOO_MUCH_WORK && !m.stuck) {
    flag = CVode(m.solver, t, m.y, &m.reached, CV_NORMAL);
    stop_if_interrupted();
    m.stuck = m.crawls(unit) || flag == CV_ERR_FAILURE || flag == CV_CONV_FAILURE;
  }
  if (flag < 0 && !m.stuck) throw Error("the integrator gave up: {}", m.complaint);
  if (flag == CV_ROOT_RETURN) CVodeGetRootInfo(m.solver, m.crossings.data());
  const std::span<double> state = numbers(m.y);
  std::copy(state.begin(), state.end(), y.begin());
  return m.reached;
}

std::span<const int> Cvode::crossings() const { return memory_->crossings; }

bool Cvode::stuck() const { return memory_->stuck; }

long long Cvode::evaluations() const {
  long count = 0;
  CVodeGetNumRhsEvals(memory_->solver, &count);
  long for_jacobian = 0;
  if (memory_->linear != nullptr) CVodeGetNumLinRhsEvals(memory_->solver, &for_jacobian);
  return count + for_jacobian;
}

}  // namespace polariscope::flow
