// Passes over the rows of a pretrained model's activations: norms, rotations, activations, log-sum-exps.

#if defined(POLARISCOPE_MODELS_PRETRAINED_ROW_KERNELS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_MODELS_PRETRAINED_ROW_KERNELS_INL_H_
#undef POLARISCOPE_MODELS_PRETRAINED_ROW_KERNELS_INL_H_
#else
#define POLARISCOPE_MODELS_PRETRAINED_ROW_KERNELS_INL_H_
#endif

#include "polariscope/models/internal/gelu-inl.h"
#include "polariscope/models/internal/rows-inl.h"
#include "polariscope/models/pretrained/internal/row_kernels.h"

#include <hwy/contrib/math/math-inl.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>

HWY_BEFORE_NAMESPACE();
namespace polariscope::models {
namespace HWY_NAMESPACE {

// Of one of a row's vectors: its mean, 0 where the norm is not centred, and 1/√(mean square about it + ε).
template <class T>
struct NormMoments {
  T mean, inverse;
};
template <class T>
HWY_INLINE NormMoments<T> moments_of(const NormShape& shape, const T* from) {
  const std::int64_t width = shape.width;
  const T mean = shape.centred
                     ? sum_over<T>(width, [&](auto d, auto i) HWY_ATTR { return hn::LoadU(d, from + i); }) / width
                     : T(0);
  const T squares = sum_over<T>(width, [&](auto d, auto i) HWY_ATTR {
    const auto apart = hn::Sub(hn::LoadU(d, from + i), hn::Set(d, mean));
    return hn::Mul(apart, apart);
  });
  return {mean, T(1) / std::sqrt(squares / width + static_cast<T>(shape.epsilon))};
}

template <class T>
void norm_rows(const NormShape& shape, RowsAt<const T> x, const T* weight, const T* bias, RowsAt<T> y) {
  const std::int64_t width = shape.width;
  for (std::int64_t r = 0; r < shape.rows; ++r) {
    for (std::int64_t g = 0; g < shape.groups; ++g) {
      const T* from = x.data + r * x.stride + g * width;
      T* to = y.data + r * y.stride + g * width;
      const T* w = weight == nullptr ? nullptr : weight + g * shape.weight_stride;
      const T* b = bias == nullptr ? nullptr : bias + g * shape.weight_stride;
      const NormMoments<T> of = moments_of(shape, from);
      for_each_vector<T>(width, [&](auto d, auto i) HWY_ATTR {
        auto unit = hn::Mul(hn::Sub(hn::LoadU(d, from + i), hn::Set(d, of.mean)), hn::Set(d, of.inverse));
        if (w != nullptr) unit = hn::Mul(unit, hn::LoadU(d, w + i));
        if (b != nullptr) unit = hn::Add(unit, hn::LoadU(d, b + i));
        hn::StoreU(unit, d, to + i);
      });
    }
  }
}

template <class T>
void rotate_rows(const RotaryShape& shape, const T* angles, const std::int64_t* places, RowsAt<T> x) {
  const std::int64_t pairs = shape.pairs;
  for (std::int64_t r = 0; r < shape.rows; ++r) {
    const T* cosines = angles + places[r] * 2 * pairs;
    const T* sines = cosines + pairs;
    for (std::int64_t h = 0; h < shape.heads; ++h) {
      T* head = x.data + r * x.stride + h * shape.head_stride;
      if (shape.neighbours) {
        for (std::int64_t i = 0; i < pairs; ++i) {
          const T a = head[2 * i], b = head[2 * i + 1];
          head[2 * i] = a * cosines[i] - b * sines[i];
          head[2 * i + 1] = b * cosines[i] + a * sines[i];
        }
      } else {
        for_each_vector<T>(pairs, [&](auto d, auto i) HWY_ATTR {
          const auto a = hn::LoadU(d, head + i), b = hn::LoadU(d, head + pairs + i);
          const auto cosine = hn::LoadU(d, cosines + i), sine = hn::LoadU(d, sines + i);
          hn::StoreU(hn::NegMulAdd(b, sine, hn::Mul(a, cosine)), d, head + i);
          hn::StoreU(hn::MulAdd(a, sine, hn::Mul(b, cosine)), d, head + pairs + i);
        });
      }
    }
  }
}

// x/(1 + e^{-exponent})
template <class D, class V = hn::Vec<D>>
HWY_INLINE V times_sigmoid(D d, V x, V exponent) {
  const V one = hn::Set(d, 1);
  return hn::Div(x, hn::Add(one, fast_exp(d, hn::Neg(exponent))));
}

template <class D, class V = hn::Vec<D>, class T = hn::TFromD<D>>
HWY_INLINE V exact_gelu(D d, V x) {
  if constexpr (sizeof(T) == 4) {
    V value, slope;
    gelu(d, x, value, slope);
    return value;
  } else {
    HWY_ALIGN T lanes[hn::MaxLanes(D())];
    hn::Store(x, d, lanes);
    for (std::size_t i = 0; i < hn::Lanes(d); ++i) lanes[i] *= 0.5 * std::erfc(-lanes[i] / std::numbers::sqrt2);
    return hn::Load(d, lanes);
  }
}

// Comparisons keep NaN, which Max and Min may lose.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V cut_above(D, V x, V limit) {
  return hn::IfThenElse(hn::Gt(x, limit), limit, x);
}
template <class D, class V = hn::Vec<D>>
HWY_INLINE V cut(D d, V x, V limit) {
  const V below = hn::Neg(limit);
  return cut_above(d, hn::IfThenElse(hn::Lt(x, below), below, x), limit);
}

template <Activation kActivation, class D, class V = hn::Vec<D>, class T = hn::TFromD<D>>
HWY_INLINE V activated(D d, V x) {
  using enum Activation;
  if constexpr (kActivation == kGelu) {
    return exact_gelu(d, x);
  } else if constexpr (kActivation == kGeluTanh) {
    // (1 + tanh u)/2 = 1/(1 + e^{-2u}), which loses no digits where tanh is near -1.
    const V cubic = hn::MulAdd(hn::Mul(hn::Set(d, T(0.044715)), hn::Mul(x, x)), x, x);
    return times_sigmoid(d, x, hn::Mul(hn::Set(d, T(2 * 0.79788456080286535588)), cubic));
  } else if constexpr (kActivation == kGeluSigmoid) {
    return times_sigmoid(d, x, hn::Mul(hn::Set(d, T(1.702)), x));
  } else if constexpr (kActivation == kSilu) {
    return times_sigmoid(d, x, x);
  } else {
    const V positive = hn::IfThenZeroElse(hn::Lt(x, hn::Zero(d)), x);
    return kActivation == kRelu ? positive : hn::Mul(x, positive);
  }
}

// Calls run.template operator()<activation>().
template <class Run>
HWY_INLINE void with_activation(Activation activation, const Run& run) {
  using enum Activation;
  switch (activation) {
    case kGelu: return run.template operator()<kGelu>();
    case kGeluTanh: return run.template operator()<kGeluTanh>();
    case kGeluSigmoid: return run.template operator()<kGeluSigmoid>();
    case kSilu: return run.template operator()<kSilu>();
    case kRelu: return run.template operator()<kRelu>();
    case kReluSquared: return run.template operator()<kReluSquared>();
  }
}

template <class T>
void activate_rows(Activation activation, std::int64_t rows, std::int64_t width, RowsAt<const T> x, RowsAt<T> y) {
  with_activation(activation, [&]<Activation kActivation>() HWY_ATTR {
    for (std::int64_t r = 0; r < rows; ++r) {
      const T* from = x.data + r * x.stride;
      T* to = y.data + r * y.stride;
      for_each_vector<T>(width, [&](auto d, auto i) HWY_ATTR {
        hn::StoreU(activated<kActivation>(d, hn::LoadU(d, from + i)), d, to + i);
      });
    }
  });
}

template <class T>
void gate_rows(const GateShape& shape, std::int64_t rows, std::int64_t width, RowsAt<const T> gate, RowsAt<const T> up,
               RowsAt<T> y) {
  with_activation(shape.activation, [&]<Activation kActivation>() HWY_ATTR {
    for (std::int64_t r = 0; r < rows; ++r) {
      const T *of_gate = gate.data + r * gate.stride, *of_up = up.data + r * up.stride;
      T* to = y.data + r * y.stride;
      for_each_vector<T>(width, [&](auto d, auto i) HWY_ATTR {
        const auto limit = hn::Set(d, static_cast<T>(shape.limit)),
                   offset = hn::Set(d, static_cast<T>(shape.up_offset));
        const auto open = activated<kActivation>(d, cut_above(d, hn::LoadU(d, of_gate + i), limit));
        hn::StoreU(hn::Mul(open, hn::Add(cut(d, hn::LoadU(d, of_up + i), limit), offset)), d, to + i);
      });
    }
  });
}

template <class T>
void clip_rows(T limit, std::int64_t rows, std::int64_t width, RowsAt<T> x) {
  for (std::int64_t r = 0; r < rows; ++r) {
    T* row = x.data + r * x.stride;
    for_each_vector<T>(width, [&](auto d, auto i) HWY_ATTR {
      hn::StoreU(cut(d, hn::LoadU(d, row + i), hn::Set(d, limit)), d, row + i);
    });
  }
}

template <class T>
void cap_rows(T cap, std::int64_t rows, std::int64_t width, RowsAt<T> x) {
  for (std::int64_t r = 0; r < rows; ++r) {
    T* row = x.data + r * x.stride;
    for_each_vector<T>(width, [&](auto d, auto i) HWY_ATTR {
      const auto ratio = hn::Mul(hn::LoadU(d, row + i), hn::Set(d, T(1) / cap));
      hn::StoreU(hn::Mul(hn::Set(d, cap), hn::Tanh(d, ratio)), d, row + i);
    });
  }
}

template <class T>
void add_rows(std::int64_t rows, std::int64_t width, RowsAt<const T> x, RowsAt<T> y) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const T* from = x.data + r * x.stride;
    T* to = y.data + r * y.stride;
    for_each_vector<T>(width, [&](auto d, auto i) HWY_ATTR {
      hn::StoreU(hn::Add(hn::LoadU(d, from + i), hn::LoadU(d, to + i)), d, to + i);
    });
  }
}

template <class T>
void add_to_log_sums(std::int64_t rows, std::int64_t width, RowsAt<const T> z, T* most, double* sum) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const T* row = z.data + r * z.stride;
    const T largest = std::max(most[r], largest_of(width, row));
    if (largest > most[r]) {
      sum[r] *= std::exp(static_cast<double>(most[r]) - static_cast<double>(largest));
      most[r] = largest;
    }
    sum[r] += sum_over<T>(width, [&](auto d, auto i) HWY_ATTR {
      return fast_exp(d, hn::Sub(hn::LoadU(d, row + i), hn::Set(d, largest)));
    });
  }
}

template <class T>
void square_sums(std::int64_t rows, std::int64_t width, RowsAt<const T> x, double* sums) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const T* row = x.data + r * x.stride;
    sums[r] = sum_over<T>(width, [&](auto d, auto i) HWY_ATTR {
      const auto at = hn::LoadU(d, row + i);
      return hn::Mul(at, at);
    });
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::models
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_MODELS_PRETRAINED_ROW_KERNELS_INL_H_
