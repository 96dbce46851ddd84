// The flow's right-hand side allocates nothing: the global operator new counts.
#include "polariscope/flow/gradient_flow.h"
#include "polariscope/flow/internal/kernels.h"
#include "problems.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<long long> allocations = 0;
}

// NOLINTBEGIN(misc-definitions-in-headers)
// Inlined they look to GCC like malloc's memory given to delete, and delete's to free().
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size > 0 ? size : 1)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new[](std::size_t size) { return operator new(size); }
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
// NOLINTEND(misc-definitions-in-headers)

namespace polariscope::testing {
namespace {

TEST(Allocations, AreCounted) {
  const long long before = allocations;
  const std::vector<int> one(100);
  EXPECT_EQ(allocations, before + 1);
  EXPECT_EQ(one.size(), 100U);
}

TEST(Allocations, TheKernelsMakeNone) {
  for (const Combination& combination : combinations()) {
    const flow::Start start = flow::random_start(combination.model, combination.loss, *combination.reweighting,
                                                 tame(9, 9, combination.model == flow::Model::kRows ? 2 : 1), 1);
    flow::FieldArrays arrays(start.problem, flow::Packing::kAlongTokens);
    arrays.set(0, start.problem, start.state, 0.0);
    flow::simd_lanes();
    const long long before = allocations;
    for (int i = 0; i < 100; ++i) flow::evaluate_along_tokens(arrays.views(), 1.0);
    flow::descend_along_tokens(arrays.views(), 0.01, 100);
    EXPECT_EQ(allocations, before) << combination.name();
  }
}

// Two integrations that differ only in how often they evaluate the right-hand side and the root functions.
TEST(Allocations, TheIntegratorsRightHandSideMakesNone) {
  flow::simd_lanes();  // which instruction sets there are is asked once
  for (const flow::Model model :
       {flow::Model::kValueSoftmax, flow::Model::kReduced, flow::Model::kTied, flow::Model::kRows}) {
    for (const flow::Solver solver : {flow::Solver::kAdams, flow::Solver::kBdf}) {
      const flow::Start start = flow::random_start(model, flow::Loss::kLogistic, row("sigmoid/sum"),
                                                   tame(6, 6, model == flow::Model::kRows ? 2 : 1), 3);
      struct Count {
        long long allocations, evaluations;
        std::size_t events;
      };
      const auto integrated = [&](double rtol) {
        const flow::FlowOptions options{
            .until = 1.0, .times = {0.0, 0.001, 0.01, 1.0}, .rtol = rtol, .solver = solver, .progress = {}};
        const long long before = allocations;
        const flow::Trajectory t = flow::integrate(start.problem, start.state, options);
        return Count{allocations - before, t.evaluations, t.events.size()};
      };
      const Count rough = integrated(1e-4);
      const Count fine = integrated(1e-12);
      ASSERT_EQ(rough.events, fine.events);
      EXPECT_GT(fine.evaluations, 2 * rough.evaluations);
      EXPECT_EQ(fine.allocations, rough.allocations) << flow::model_name(model);
    }
  }
}

}  // namespace
}  // namespace polariscope::testing
