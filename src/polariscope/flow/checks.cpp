#include "polariscope/flow/checks.h"

#include "polariscope/base/error.h"
#include "polariscope/base/names.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace polariscope::flow {
namespace {

using Vector = std::vector<double>;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Two leaders that start ε apart part only once log t is about k·log(1/ε): what is said of the limit can be
// judged at no time that gradient descent reaches.
constexpr double kLongRun = 1e100;

// --- reading a trajectory ---------------------------------------------------------------------------

double at(const Vector& record, const Trajectory& t, std::size_t n, int token) {
  return record[n * t.problem.tokens + token];
}

double largest(const Vector& record) {
  double top = 0.0;
  for (double x : record) top = std::max(top, std::abs(x));
  return top;
}

// First record past half of the logarithm of time, where asymptotic statements begin to be judged.
std::size_t middle(const Trajectory& t) {
  const double half = 0.5 * std::log1p(t.t.back());
  return std::find_if(t.t.begin(), t.t.end(), [&](double time) { return std::log1p(time) >= half; }) - t.t.begin();
}

// Smallest growth of f(record, i, j) from one record to the next over pairs with i before j.
template <class Value>
double smallest_growth(const Trajectory& t, bool with_winner_only, const Value& value) {
  const std::vector<int> order = order_of_u(t);
  double smallest = kInfinity;
  for (std::size_t n = 1; n < t.points(); ++n) {
    for (std::size_t i = 0; i < (with_winner_only ? 1 : order.size()); ++i) {
      for (std::size_t j = i + 1; j < order.size(); ++j) {
        smallest = std::min(smallest, value(n, order[i], order[j]) - value(n - 1, order[i], order[j]));
      }
    }
  }
  return smallest;
}

// Smallest lead of a token over the next one in order, over records [from, end).
double smallest_lead(const Trajectory& t, const Vector& record, std::size_t from) {
  const std::vector<int> order = order_of_u(t);
  double smallest = kInfinity;
  for (std::size_t n = from; n < t.points(); ++n) {
    for (std::size_t i = 0; i + 1 < order.size(); ++i) {
      smallest = std::min(smallest, at(record, t, n, order[i]) - at(record, t, n, order[i + 1]));
    }
  }
  return smallest;
}

// max over i ≠ 1 of σ_i/σ_1 at a record.
double loser_ratio(const Trajectory& t, std::size_t n) {
  const int winner = order_of_u(t).front();
  double top = 0.0;
  for (int i = 0; i < t.problem.tokens; ++i) {
    if (i != winner) top = std::max(top, at(t.sigma, t, n, i) / at(t.sigma, t, n, winner));
  }
  return top;
}

// --- preconditions ----------------------------------------------------------------------------------

using Obstacle = std::string (*)(const Trajectory&);  // "" where nothing stands in the way

// The first that stands in the way. They are asked one after the other, and each may rely on those before it: a
// trajectory that diverged before its first record has nothing to look at.
std::string first_obstacle(const Trajectory& t, std::initializer_list<Obstacle> obstacles) {
  for (const Obstacle obstacle : obstacles) {
    if (std::string reason = obstacle(t); !reason.empty()) return reason;
  }
  return "";
}

std::string needs(bool holds, std::string_view what) { return holds ? "" : std::string(what); }

std::string single_row(const Trajectory& t) {
  return needs(t.problem.model == Model::kValueSoftmax || t.problem.model == Model::kReduced,
               "the model must be value-softmax or reduced");
}
std::string full_model(const Trajectory& t) {
  return needs(t.problem.model == Model::kValueSoftmax, "the model must be value-softmax");
}
std::string not_tied(const Trajectory& t) {
  return needs(t.problem.model != Model::kTied, "the model must not be tied");
}
std::string one_row(const Trajectory& t) { return needs(t.problem.rows == 1, "there must be one row"); }
std::string softmax(const Trajectory& t) {
  return needs(t.problem.reweighting->name == "softmax", "the re-weighting must be softmax");
}
template <Loss loss>
std::string loss_is(const Trajectory& t) {
  return needs(t.problem.loss == loss, fmt::format("the loss must be {}", loss_name(loss)));
}
std::string logistic_or_square(const Trajectory& t) {
  return needs(t.problem.loss == Loss::kLogistic || t.problem.loss == Loss::kSquare,
               "the loss must be logistic or square");
}
std::string finite(const Trajectory& t) {
  return needs(t.ending != Ending::kDiverged, "the trajectory left the finite numbers");
}
std::string recorded(const Trajectory& t) { return needs(t.points() >= 1, "a record is needed"); }
std::string moved(const Trajectory& t) { return needs(t.points() >= 3, "at least three records are needed"); }
std::string two_tokens(const Trajectory& t) { return needs(t.problem.tokens >= 2, "two tokens are needed"); }
std::string with_singular_values(const Trajectory& t) {
  return needs(!t.singular_values.empty(), "singular values are needed");
}

// a₀ = c·1 and u₀ strictly ordered.
std::string level_start(const Trajectory& t) {
  const int k = t.problem.tokens;
  if (!std::all_of(t.scores.begin(), t.scores.begin() + k, [&](double a) { return a == t.scores[0]; })) {
    return "a must start as c·1";
  }
  Vector u(t.u.begin(), t.u.begin() + k);
  std::sort(u.begin(), u.end());
  return needs(std::adjacent_find(u.begin(), u.end()) == u.end(), "u must start strictly ordered");
}

// u₀'s two largest apart by a hundredth of its range: of nearer ties, the winner draws ahead only later.
std::string clear_lead(const Trajectory& t) {
  const std::vector<int> order = order_of_u(t);
  const double lead = t.u[order[0]] - t.u[order[1]];
  return needs(lead >= 0.01 * (t.u[order.front()] - t.u[order.back()]),
               "u's two largest must start apart by a hundredth of its range");
}

std::string reaches(const Trajectory& t, double time) {
  return needs(t.t.back() >= time, fmt::format("t must reach {:g}", time));
}

std::string nothing_across_beta(const Trajectory& t) {
  return needs(t.orthogonal.front() <= 1e-14 * (1.0 + largest(t.u)), "V must start along β (V = 0 does)");
}

// Where the start overshoots β, the loss pushes b back, and the order of a is that of −u.
std::string drawn_to_beta(const Trajectory& t) {
  const Vector& beta = t.problem.beta;
  double score = 0.0;
  for (int i = 0; i < t.problem.tokens; ++i) score += t.u[i] * t.sigma[i];
  return needs(score < std::inner_product(beta.begin(), beta.end(), beta.begin(), 0.0),
               "b must start short of β: βᵀVσ < ‖β‖²");
}

// At a kink the flow may slide along it, and dL/dt is no derivative.
std::string differentiable(const Trajectory& t) {
  return needs(t.problem.reweighting->smooth, "the re-weighting must be differentiable");
}

std::string monotone(const Trajectory& t) {
  const reweighting::Reweighting& row = *t.problem.reweighting;
  return needs(row.strictly_rising && row.positive && row.sums_to_one, "the re-weighting must be f/Σf with f, f' > 0");
}

std::string has_fallen(const Trajectory& t) {
  return needs(t.loss.back() <= 1e-6 * t.loss.front(), "the loss must have fallen by 1e-6");
}

// Of whole statements.
std::string theorem_3(const Trajectory& t) {
  return first_obstacle(t, {single_row, softmax, loss_is<Loss::kLogistic>, finite, moved, level_start, two_tokens});
}

std::string asymptotic(const Trajectory& t) {
  return first_obstacle(t, {theorem_3, clear_lead, [](const Trajectory& of) { return reaches(of, kLongRun); }});
}

std::string fitted(const Trajectory& t) {
  return first_obstacle(t, {single_row, softmax, loss_is<Loss::kSquare>, finite, recorded, has_fallen});
}

std::string lemma_d_4(const Trajectory& t) {
  std::string reason = first_obstacle(t, {single_row, logistic_or_square, monotone, finite, moved, level_start});
  if (!reason.empty() || t.problem.loss != Loss::kSquare) return reason;
  return first_obstacle(t, {nothing_across_beta, drawn_to_beta});
}

// --- the checks -------------------------------------------------------------------------------------

const std::vector<Check> kChecks{
    {"A.thm3.2/order", "The order of a and of u is kept.", "logistic loss, softmax, a₀ = c·1, u₀ strictly ordered",
     theorem_3,
     [](const Trajectory& t, double tolerance) {
       const double lead = std::min(smallest_lead(t, t.scores, 1), smallest_lead(t, t.u, 0));
       return lead + tolerance * (1.0 + largest(t.scores));
     }},
    {"A.thm3.2/u-differences", "For i before j, u_i − u_j never decreases.", "as for the order", theorem_3,
     [](const Trajectory& t, double tolerance) {
       const double growth =
           smallest_growth(t, false, [&](std::size_t n, int i, int j) { return at(t.u, t, n, i) - at(t.u, t, n, j); });
       return growth + tolerance * (1.0 + largest(t.u));
     }},
    {"A.thm3.2/a-differences", "For i before j, a_i − a_j never decreases.", "as for the order", theorem_3,
     [](const Trajectory& t, double tolerance) {
       const double growth = smallest_growth(
           t, false, [&](std::size_t n, int i, int j) { return at(t.scores, t, n, i) - at(t.scores, t, n, j); });
       return growth + tolerance * (1.0 + largest(t.scores));
     }},
    {"A.thm3.2/winner-differences", "The winner's lead a_1 − a_j never decreases.", "as for the order", theorem_3,
     [](const Trajectory& t, double tolerance) {
       const double growth = smallest_growth(
           t, true, [&](std::size_t n, int i, int j) { return at(t.scores, t, n, i) - at(t.scores, t, n, j); });
       return growth + tolerance * (1.0 + largest(t.scores));
     }},
    {"A.thm3.2/lyapunov", "(a_i − a_j)(u_i − u_j) > 0 for t > 0.", "as for the order", theorem_3,
     [](const Trajectory& t, double tolerance) {
       double smallest = kInfinity;
       for (std::size_t n = 1; n < t.points(); ++n) {
         for (int i = 0; i < t.problem.tokens; ++i) {
           for (int j = 0; j < i; ++j) {
             smallest = std::min(
                 smallest, (at(t.scores, t, n, i) - at(t.scores, t, n, j)) * (at(t.u, t, n, i) - at(t.u, t, n, j)));
           }
         }
       }
       return smallest + tolerance * (1.0 + largest(t.scores) * largest(t.u));
     }},
    {"A.thm3.3/one-hot", "σ_i/σ_1 → 0 for every i ≠ 1: in the second half of log t it falls below 2/3 of its value.",
     "as for the order, u₀'s winner leads clearly, t to 1e100", asymptotic,
     [](const Trajectory& t, double) {
       return 2.0 / 3.0 - loser_ratio(t, t.points() - 1) / loser_ratio(t, middle(t));
     }},
    {"A.thm3.3/strength", "∫ s dt diverges: its second half of log t adds at least a fifth of what the first one did.",
     "as for the order, u₀'s winner leads clearly, t to 1e100", asymptotic,
     [](const Trajectory& t, double) {
       const double first = t.strength[middle(t)];
       return (t.strength.back() - first) / first - 0.2;
     }},
    {"A.thm3.3/loss", "The loss tends to 0: in the second half of log t it falls by at least half of t's factor.",
     "as for the order, u₀'s winner leads clearly, t to 1e3",
     [](const Trajectory& t) {
       return first_obstacle(t, {theorem_3, clear_lead, [](const Trajectory& of) { return reaches(of, 1e3); }});
     },
     [](const Trajectory& t, double) {
       const std::size_t n = middle(t);
       return std::log(t.loss[n] / t.loss.back()) / std::log(t.t.back() / t.t[n]) - 0.5;
     }},
    {"A.lemB.1/bounded", "u_i stays bounded for i ≠ 1: past half of log t it grows by under a tenth of u_1's growth.",
     "as for the order, u₀'s winner leads clearly, t to 1e100", asymptotic,
     [](const Trajectory& t, double) {
       const std::size_t from = middle(t);
       const std::size_t last = t.points() - 1;
       const int winner = order_of_u(t).front();
       double top = 0.0;
       for (int i = 0; i < t.problem.tokens; ++i) {
         if (i != winner) top = std::max(top, at(t.u, t, last, i) - at(t.u, t, from, i));
       }
       // Over |growth|, so that a winner which falls back does not pass.
       const double growth = at(t.u, t, last, winner) - at(t.u, t, from, winner);
       return (0.1 * growth - top) / std::abs(growth);
     }},
    {"A.lemB.1/rank-one",
     "V tends to rank one: past half of log t its second singular value falls by a tenth against its first.",
     "as for the order, u₀'s winner leads clearly, t to 1e100, singular values recorded",
     [](const Trajectory& t) {
       return first_obstacle(t, {asymptotic, with_singular_values});
     },
     [](const Trajectory& t, double) {
       const std::size_t width = t.singular_values.size() / t.points();
       if (width < 2) return 1.0;
       const auto ratio = [&](std::size_t n) {
         return t.singular_values[n * width + 1] / t.singular_values[n * width];
       };
       return 0.9 - ratio(t.points() - 1) / ratio(middle(t));
     }},
    {"A.lemB.1/rate", "σ_i/σ_1 falls as log⁻² t: the slope against log log t is within 0.1 of −2.",
     "as for the order, u₀'s winner leads clearly, t to 1e100", asymptotic,
     [](const Trajectory& t, double) { return 0.1 - std::abs(one_hot_rate(t, std::sqrt(t.t.back())).slope + 2.0); }},
    {"A.lem3.5/along-beta", "V stays along β: nothing orthogonal to it grows.", "square loss, V₀ along β",
     [](const Trajectory& t) {
       return first_obstacle(t, {full_model, loss_is<Loss::kSquare>, finite, recorded, nothing_across_beta});
     },
     [](const Trajectory& t, double tolerance) { return tolerance * (1.0 + largest(t.u)) - largest(t.orthogonal); }},
    {"A.c1/strength", "∫ ‖∇L‖ dt is finite: its last tenth of the time adds under 1e-3 of it.",
     "square loss, softmax, loss down by 1e-6", fitted,
     [](const Trajectory& t, double) {
       const auto from = std::find_if(t.t.begin(), t.t.end(), [&](double time) { return time >= 0.9 * t.t.back(); });
       return 1e-3 - (t.strength.back() - t.strength[from - t.t.begin()]) / t.strength.back();
     }},
    {"A.c1/not-one-hot", "σ does not become one-hot: its largest weight ends below 0.99.",
     "square loss, softmax, loss down by 1e-6", fitted,
     [](const Trajectory& t, double) {
       return 0.99 - *std::max_element(t.sigma.end() - t.row_width(), t.sigma.end());
     }},
    {"A.lemD.1/sum", "1ᵀa of every row is conserved.", "softmax, scores of its own (not tied)",
     [](const Trajectory& t) {
       return first_obstacle(t, {not_tied, softmax, finite, recorded});
     },
     [](const Trajectory& t, double tolerance) {
       const int k = t.problem.tokens;
       double drift = 0.0;
       for (int row = 0; row < t.problem.rows; ++row) {
         const auto sum = [&](std::size_t n) {
           const auto* a = t.scores.data() + n * t.row_width() + row * k;
           return std::accumulate(a, a + k, 0.0);
         };
         for (std::size_t n = 0; n < t.points(); ++n) drift = std::max(drift, std::abs(sum(n) - sum(0)));
       }
       return tolerance * k * (1.0 + largest(t.scores)) - drift;
     }},
    {"A.lemD.2/rate", "dL/dt ≤ −‖σ‖²‖∇L‖² at every point.", "one row of scores, not tied, differentiable re-weighting",
     [](const Trajectory& t) {
       return first_obstacle(t, {not_tied, one_row, differentiable, finite, recorded});
     },
     [](const Trajectory& t, double) {
       // The measured rate carries the error of its difference quotient: a thousandth is allowed.
       double smallest = kInfinity;
       for (std::size_t n = 0; n < t.points(); ++n) {
         double square = 0.0;
         for (int i = 0; i < t.problem.tokens; ++i) square += at(t.sigma, t, n, i) * at(t.sigma, t, n, i);
         const double bound = square * t.gradient_output[n] * t.gradient_output[n];
         // Denormal numbers have no thousandth.
         if (!std::isfinite(t.loss_rate[n]) || bound < 1e5 * std::numeric_limits<double>::min()) continue;
         smallest = std::min(smallest, -t.loss_rate[n] / bound - 1.0);
       }
       return smallest + 1e-3;
     }},
    {"A.lemD.4/order", "The order of a is kept for a monotone f with f/Σf.",
     "logistic loss, or square loss with V₀ along β and b₀ short of β; f/Σf with f > 0 and f' > 0; a₀ = c·1, u₀ "
     "strictly ordered",
     lemma_d_4,
     [](const Trajectory& t, double tolerance) {
       return smallest_lead(t, t.scores, 1) + tolerance * (1.0 + largest(t.scores));
     }},
};

}  // namespace

const std::vector<Check>& checks() { return kChecks; }

const Check& find_check(std::string_view id) {
  std::vector<std::string_view> known;
  for (const Check& check : kChecks) {
    if (check.id == id) return check;
    known.push_back(check.id);
  }
  throw Error("{}", unknown_name("check", id, known));
}

CheckResult run_check(const Check& check, const Trajectory& trajectory, double tolerance) {
  const std::string obstacle = check.obstacle(trajectory);
  const bool applies = obstacle.empty();
  return {.id = check.id,
          .statement = check.statement,
          .applies = applies,
          .reason = obstacle,
          .margin = applies ? check.margin(trajectory, tolerance) : std::numeric_limits<double>::quiet_NaN()};
}

std::vector<CheckResult> run_checks(const Trajectory& trajectory, double tolerance) {
  std::vector<CheckResult> results;
  for (const Check& check : kChecks) results.push_back(run_check(check, trajectory, tolerance));
  return results;
}

std::vector<int> order_of_u(const Trajectory& trajectory) {
  std::vector<int> order(trajectory.problem.tokens);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int i, int j) { return trajectory.u[i] > trajectory.u[j]; });
  return order;
}

OneHotRate one_hot_rate(const Trajectory& t, double from) {
  const int winner = order_of_u(t).front();
  const int losers = t.problem.tokens - 1;
  double points = 0.0, x_mean = 0.0, y_mean = 0.0, xx = 0.0, xy = 0.0, last = 0.0;
  for (std::size_t n = 0; n < t.points(); ++n) {
    if (t.t[n] < from || t.t[n] <= 1.0) continue;
    const double x = std::log(std::log(t.t[n]));
    double y = 0.0;
    last = 0.0;
    for (int i = 0; i < t.problem.tokens; ++i) {
      if (i == winner) continue;
      const double ratio = at(t.sigma, t, n, i) / at(t.sigma, t, n, winner);
      y += std::log(ratio) / losers;
      last += ratio / losers;
    }
    points += 1.0;
    const double dx = x - x_mean;
    x_mean += dx / points;
    y_mean += (y - y_mean) / points;
    xx += dx * (x - x_mean);
    xy += dx * (y - y_mean);
  }
  const double nan = std::numeric_limits<double>::quiet_NaN();
  if (!(xx > 0.0)) return {nan, nan};
  const double log_t = std::log(t.t.back());
  return {xy / xx, last * t.problem.tokens * log_t * log_t / 2.0};
}

}  // namespace polariscope::flow
