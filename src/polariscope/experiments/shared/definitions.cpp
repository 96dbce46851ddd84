#include "polariscope/experiments/shared/definitions.h"

namespace polariscope::experiments {

std::vector<std::pair<std::string, std::string>> definitions() {
  return {
      {"model",
       "L(V σ(a)) with V in R^{d×k} and a in R^k; σ is the re-weighting function. Gradient flow: "
       "V' = −∇L σᵀ, a' = −J_σᵀ Vᵀ∇L. Gradient descent takes steps of the stated size along it, V and a "
       "together; time t is the number of steps times the step size."},
      {"alignment u",
       "u = Vᵀβ, what draws the scores under logistic and square loss; Vᵀ Xᵀβ under least squares; "
       "Vᵀ(p* − 1/d) under the KL loss."},
      {"attention entropy",
       "H = −Σ p log p of p = σ(a)/Σσ(a), in nats. Undefined where a weight is negative: there "
       "it is taken of |σ|/Σ|σ| and called absolute entropy."},
      {"variance and entropy",
       "Var = Var_j[q·k_j] over a row's keys, population variance; H̃ = H/(log N − H) (Lipschitz paper (6), (7)). β of "
       "H̃ ∝ Var^β is the least-squares slope of log H̃ on log Var."},
      {"norms of (9)",
       "‖X‖ = max_i ‖x_i‖₂ over tokens; ‖M‖_(2,∞) = (Σ_i max_j M_ij²)^½; ‖f‖_{a,b} = max ‖f(H)‖_b over ‖H‖_a = 1; "
       "DZ(H) = HMXᵀ + XMHᵀ with M = W_Q W_Kᵀ."},
      {"winner", "the token with the largest weight; the first of equal ones."},
      {"effective rank",
       "exponential of the entropy of V's singular values divided by their sum "
       "(Roy and Vetterli 2007)."},
      {"cumulative strength",
       "∫‖∇L‖ dt along the trajectory; for the logistic loss ‖∇L‖ = s‖β‖ with "
       "s = sigmoid(−βᵀVσ)."},
      {"margin", "by how much a statement holds (≥ 0) or fails (< 0) on a trajectory, after allowing for rounding."},
      {"KL loss", "cross-entropy −Σ p* log softmax(Vᵀσ(a)); KL is that minus the entropy of p*."},
      {"denominators",
       "The paper's code adds 1e-10 to the denominators of L1, Sum, L2 and normalised ReLU and 1e-15 "
       "inside KL's logarithm; here nothing is added, and a row without any weight gets zeros. The "
       "results differ by less than 1e-9."},
      {"sink score",
       "of a trained head: mean of A₀/ΣA over sequences and queries 1 to T − 3, clipped to [0, 1]; a sink head has "
       "more "
       "than 0.9 (polarisation paper, E.1). Gu et al.'s importance α of the first token: mean of A₀ over its queries."},
      {"flip rate",
       "of a head: in 500 pairs of sequences with different labels the token that CLS attends to most is put into the "
       "other in the place of its own first, both ways; the fraction of predictions of the label it came from (E.3)."},
      {"learned", "accuracy above 0.95 on 1,000 unseen sequences: the paper's filter. Other trainings do not count."},
      {"verdict", "computed from the criterion beside each claim; a claim that no run bears on is inconclusive."},
  };
}

}  // namespace polariscope::experiments
