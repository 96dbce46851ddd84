// The passes of models/attention_only.h, chosen for the processor at run time.
#pragma once

#include "polariscope/models/attention_only.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace polariscope::models {

// A layer's numbers as the kernels read them: square matrices of four, with zeros (and V's 1) where a layer form has
// smaller ones. Gradients stand in the same order.
enum LayerSlot : int {
  kQuerySlot = 0,
  kKeySlot = 16,
  kValueSlot = 32,
  kQueryGainSlot = 48,
  kQueryBiasSlot = 52,
  kKeyGainSlot = 56,
  kKeyBiasSlot = 60,
  kGainSlot = 64,
  kSinkSlot = 65,
  kLayerSlots = 66,
};

// Sums over rows and sequences, but for the loss's over sequences and the norms' over maps.
enum StatisticSlot : int {
  kEntropySum,
  kEntropySquares,  // Σ H²
  kFrobeniusSum,
  kLogitVarianceSum,
  kMaximumSum,
  kFirstKeySum,
  kSkewnessSum,
  kRowSumSum,
  kDeadSum,
  kStatisticSlots,
};

// What does not change from layer to layer.
struct LayerPlan {
  reweighting::AttentionForm form;
  LayerForm layer_form;
  QkNorm qk_norm;
  int layers, tokens;
  bool causal;
  int score_width;  // entries of a query that count: 4, or 3 of x
};

template <class T>
using LayerNumbers = std::array<T, kLayerSlots>;

// What a range of sequences adds up to.
struct ChunkSums {
  double loss = 0.0;                                       // Σ (answer - y)²
  std::vector<std::array<double, kLayerSlots>> gradients;  // of Σ (answer - y)²/batch
  std::vector<std::array<double, kStatisticSlots>> statistics;
};

// Sequences of one chunk, whose sums are taken in lanes before they go to double.
template <class T>
int sequences_of_chunk();

// numbers: [layers]; tokens: [count, N, 4] and answers: [count] of a chunk; batch: sequences of the whole step.
template <class T>
ChunkSums run_chunk(const LayerPlan& plan, const LayerNumbers<T>* numbers, const T* tokens, const T* answers,
                    std::int64_t count, std::int64_t batch);

// Of one sequence, tokens: [N, 4]; [layers].
template <class T>
std::vector<AttentionOnlyMap> maps_of_sequence(const LayerPlan& plan, const LayerNumbers<T>* numbers, const T* tokens);

}  // namespace polariscope::models
