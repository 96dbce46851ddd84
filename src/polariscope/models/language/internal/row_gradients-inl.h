// Gradients of norms, activations and the loss over the rows of a language model's activations.

#if defined(POLARISCOPE_MODELS_LANGUAGE_ROW_GRADIENTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef POLARISCOPE_MODELS_LANGUAGE_ROW_GRADIENTS_INL_H_
#undef POLARISCOPE_MODELS_LANGUAGE_ROW_GRADIENTS_INL_H_
#else
#define POLARISCOPE_MODELS_LANGUAGE_ROW_GRADIENTS_INL_H_
#endif

#include "polariscope/models/language/internal/row_gradients.h"
#include "polariscope/models/pretrained/internal/row_kernels-inl.h"

HWY_BEFORE_NAMESPACE();
namespace polariscope::models {
namespace HWY_NAMESPACE {

// With x̂ = (x - mean)·inverse and h = dy·weight: dx = inverse (h - mean(h) - x̂ mean(h x̂)); without mean(h) where the
// norm is not centred.
template <class T>
void norm_gradients(const NormShape& shape, RowsAt<const T> x, const T* weight, RowsAt<const T> dy, RowsAt<T> dx,
                    T* d_weight, T* d_bias) {
  const std::int64_t width = shape.width;
  for (std::int64_t r = 0; r < shape.rows; ++r) {
    for (std::int64_t g = 0; g < shape.groups; ++g) {
      const T* from = x.data + r * x.stride + g * width;
      const T* due = dy.data + r * dy.stride + g * width;
      T* to = dx.data + r * dx.stride + g * width;
      const std::int64_t own = g * shape.weight_stride;
      const T* w = weight == nullptr ? nullptr : weight + own;
      const NormMoments<T> of = moments_of(shape, from);
      const auto unit = [&](auto d, auto i) HWY_ATTR {
        return hn::Mul(hn::Sub(hn::LoadU(d, from + i), hn::Set(d, of.mean)), hn::Set(d, of.inverse));
      };
      const auto weighed = [&](auto d, auto i) HWY_ATTR {
        const auto of_due = hn::LoadU(d, due + i);
        return w == nullptr ? of_due : hn::Mul(of_due, hn::LoadU(d, w + i));
      };
      T level = 0, along = 0;
      two_sums_over(width, level, along, weighed,
                    [&](auto d, auto i) HWY_ATTR { return hn::Mul(weighed(d, i), unit(d, i)); });
      level = shape.centred ? level / width : T(0);
      along /= width;
      // Sums first: dx may be dy's own rows.
      if (d_weight != nullptr) {
        for_each_vector<T>(width, [&](auto d, auto i) HWY_ATTR {
          T* sum = d_weight + own + i;
          hn::StoreU(hn::MulAdd(hn::LoadU(d, due + i), unit(d, i), hn::LoadU(d, sum)), d, sum);
        });
      }
      if (d_bias != nullptr) {
        for_each_vector<T>(width, [&](auto d, auto i) HWY_ATTR {
          T* sum = d_bias + own + i;
          hn::StoreU(hn::Add(hn::LoadU(d, due + i), hn::LoadU(d, sum)), d, sum);
        });
      }
      for_each_vector<T>(width, [&](auto d, auto i) HWY_ATTR {
        const auto rest = hn::Sub(weighed(d, i), hn::Set(d, level));
        hn::StoreU(hn::Mul(hn::Set(d, of.inverse), hn::NegMulAdd(unit(d, i), hn::Set(d, along), rest)), d, to + i);
      });
    }
  }
}

// 1/(1 + e^{-x})
template <class D, class V = hn::Vec<D>>
HWY_INLINE V sigmoid(D d, V x) {
  return times_sigmoid(d, hn::Set(d, 1), x);
}

// Of y = x σ(u): dy/dx = σ + x σ(1 - σ) du/dx.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V slope_of_times_sigmoid(D d, V x, V u, V du) {
  const V open = sigmoid(d, u);
  const V bend = hn::Mul(hn::Mul(x, du), hn::NegMulAdd(open, open, open));
  return hn::Add(open, bend);
}

template <class D, class V = hn::Vec<D>, class T = hn::TFromD<D>>
HWY_INLINE V exact_gelu_slope(D d, V x) {
  if constexpr (sizeof(T) == 4) {
    V value, slope;
    gelu(d, x, value, slope);
    return slope;
  } else {
    HWY_ALIGN T lanes[hn::MaxLanes(D())];
    hn::Store(x, d, lanes);
    for (std::size_t i = 0; i < hn::Lanes(d); ++i) {
      const T at = lanes[i];
      lanes[i] = 0.5 * std::erfc(-at / std::numbers::sqrt2) +
                 at * std::exp(-0.5 * at * at) / std::sqrt(2.0 * std::numbers::pi);
    }
    return hn::Load(d, lanes);
  }
}

template <Activation kActivation, class D, class V = hn::Vec<D>, class T = hn::TFromD<D>>
HWY_INLINE V slope(D d, V x) {
  using enum Activation;
  if constexpr (kActivation == kGelu) {
    return exact_gelu_slope(d, x);
  } else if constexpr (kActivation == kGeluTanh) {
    const V squared = hn::Mul(x, x), factor = hn::Set(d, T(2 * 0.79788456080286535588));
    const V cubic = hn::MulAdd(hn::Mul(hn::Set(d, T(0.044715)), squared), x, x);
    const V steep = hn::MulAdd(hn::Set(d, T(3 * 0.044715)), squared, hn::Set(d, T(1)));
    return slope_of_times_sigmoid(d, x, hn::Mul(factor, cubic), hn::Mul(factor, steep));
  } else if constexpr (kActivation == kGeluSigmoid) {
    const V factor = hn::Set(d, T(1.702));
    return slope_of_times_sigmoid(d, x, hn::Mul(factor, x), factor);
  } else if constexpr (kActivation == kSilu) {
    return slope_of_times_sigmoid(d, x, x, hn::Set(d, T(1)));
  } else {
    const V there = kActivation == kRelu ? hn::Set(d, T(1)) : hn::Add(x, x);
    return hn::IfThenElseZero(hn::Gt(x, hn::Zero(d)), there);
  }
}

template <class T>
void activate_gradients(Activation activation, std::int64_t rows, std::int64_t width, RowsAt<const T> x,
                        RowsAt<const T> dy, RowsAt<T> dx) {
  with_activation(activation, [&]<Activation kActivation>() HWY_ATTR {
    for (std::int64_t r = 0; r < rows; ++r) {
      const T *from = x.data + r * x.stride, *due = dy.data + r * dy.stride;
      T* to = dx.data + r * dx.stride;
      for_each_vector<T>(width, [&](auto d, auto i) HWY_ATTR {
        hn::StoreU(hn::Mul(slope<kActivation>(d, hn::LoadU(d, from + i)), hn::LoadU(d, due + i)), d, to + i);
      });
    }
  });
}

// What is cut off has no slope.
template <class T>
void gate_gradients(const GateShape& shape, std::int64_t rows, std::int64_t width, RowsAt<const T> gate,
                    RowsAt<const T> up, RowsAt<const T> dy, RowsAt<T> d_gate, RowsAt<T> d_up) {
  with_activation(shape.activation, [&]<Activation kActivation>() HWY_ATTR {
    for (std::int64_t r = 0; r < rows; ++r) {
      const T *of_gate = gate.data + r * gate.stride, *of_up = up.data + r * up.stride, *due = dy.data + r * dy.stride;
      T *to_gate = d_gate.data + r * d_gate.stride, *to_up = d_up.data + r * d_up.stride;
      for_each_vector<T>(width, [&](auto d, auto i) HWY_ATTR {
        const auto limit = hn::Set(d, static_cast<T>(shape.limit)),
                   offset = hn::Set(d, static_cast<T>(shape.up_offset));
        const auto g = hn::LoadU(d, of_gate + i), u = hn::LoadU(d, of_up + i), dz = hn::LoadU(d, due + i);
        const auto g_cut = cut_above(d, g, limit), u_cut = cut(d, u, limit);
        const auto for_gate = hn::Mul(hn::Mul(dz, hn::Add(u_cut, offset)), slope<kActivation>(d, g_cut));
        const auto for_up = hn::Mul(dz, activated<kActivation>(d, g_cut));
        hn::StoreU(hn::IfThenElseZero(hn::Le(g, limit), for_gate), d, to_gate + i);
        hn::StoreU(hn::IfThenElseZero(hn::Le(hn::Abs(u), limit), for_up), d, to_up + i);
      });
    }
  });
}

template <class T>
LogitSums loss_of_rows(const LogitLoss& loss, std::int64_t rows, std::int64_t width, const std::int64_t* targets,
                       T weight, RowsAt<T> z) {
  LogitSums sums;
  const bool capped = loss.cap > 0.0;
  for (std::int64_t r = 0; r < rows; ++r) {
    T* row = z.data + r * z.stride;
    if (targets[r] < 0) {
      std::fill_n(row, width, T(0));
      continue;
    }
    if (loss.scale != 1.0 || capped) {
      for_each_vector<T>(width, [&](auto d, auto i) HWY_ATTR {
        const auto scaled = hn::Mul(hn::LoadU(d, row + i), hn::Set(d, static_cast<T>(loss.scale)));
        hn::StoreU(scaled, d, row + i);
      });
    }
    if (capped) cap_rows(static_cast<T>(loss.cap), 1, width, RowsAt<T>{row, width});
    const T most = largest_of(width, row), of_target = row[targets[r]];
    // The sum of exponentials, which stay where the logits stood: of e^{z - most} the cap's slope can be had again only
    // with the logits, so that capped rows take two passes of exponentials.
    const T sum = sum_over<T>(width, [&](auto d, auto i) HWY_ATTR {
      const auto e = fast_exp(d, hn::Sub(hn::LoadU(d, row + i), hn::Set(d, most)));
      if (!capped) hn::StoreU(e, d, row + i);
      return e;
    });
    const double log_sum = static_cast<double>(most) + std::log(static_cast<double>(sum));
    const T slope_of_log_sum = static_cast<T>(1.0 + 2.0 * loss.z_loss * log_sum) * weight * static_cast<T>(loss.scale);
    const T factor = slope_of_log_sum / sum, step = weight * static_cast<T>(loss.scale);
    if (capped) {
      const T inverse = T(1) / static_cast<T>(loss.cap);
      const T share = of_target * inverse, of_step = step * (T(1) - share * share);
      for_each_vector<T>(width, [&](auto d, auto i) HWY_ATTR {
        const auto at = hn::LoadU(d, row + i), ratio = hn::Mul(at, hn::Set(d, inverse));
        const auto e = hn::Mul(fast_exp(d, hn::Sub(at, hn::Set(d, most))), hn::Set(d, factor));
        hn::StoreU(hn::Mul(e, hn::NegMulAdd(ratio, ratio, hn::Set(d, T(1)))), d, row + i);
      });
      row[targets[r]] -= of_step;
    } else {
      for_each_vector<T>(width, [&](auto d, auto i) HWY_ATTR {
        hn::StoreU(hn::Mul(hn::LoadU(d, row + i), hn::Set(d, factor)), d, row + i);
      });
      row[targets[r]] -= step;
    }
    sums.cross_entropy += static_cast<double>(weight) * (log_sum - static_cast<double>(of_target));
    sums.square_of_log_sum += static_cast<double>(weight) * log_sum * log_sum;
  }
  return sums;
}

template <class T>
void sum_columns(std::int64_t rows, std::int64_t width, RowsAt<const T> g, T* sums) {
  add_column_sums<T>(rows, width, sums,
                     [&](auto d, auto r, auto i) HWY_ATTR { return hn::LoadU(d, g.data + r * g.stride + i); });
}

}  // namespace HWY_NAMESPACE
}  // namespace polariscope::models
HWY_AFTER_NAMESPACE();

#endif  // POLARISCOPE_MODELS_LANGUAGE_ROW_GRADIENTS_INL_H_
