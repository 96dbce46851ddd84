// The forward pass of every pretrained model, written once over a small set of operations.
//
// `Operations` has the types
//   Array              rows of numbers, [rows, width]
//   Matrix             weights to multiply with, the rows of several parameters one above the other, and their bias
//   Norm, Vector       a norm's weight and bias; numbers
// and does what is called below. An operation may write over an array that is moved into it. Between `by_rows` rows
// know nothing of each other: those of all texts are taken through it in any number of ranges, at once. `Operations`
// keeps what is measured: it is told of every layer's rows of attention and hidden states.
#pragma once

#include "polariscope/models/pretrained/layer_weights.h"
#include "polariscope/models/pretrained/token_batch.h"

#include <array>
#include <cstdint>
#include <string>
#include <utility>

namespace polariscope::models {

// Rows [first, first + count) of all texts.
struct TokenRange {
  std::int64_t first, count;
};

template <class Operations>
class ForwardPass {
 public:
  using Array = typename Operations::Array;
  using Norm = typename Operations::Norm;
  using Matrix = typename Operations::Matrix;

  ForwardPass(const Description& model, Operations& operations) : model_(model), do_(operations) {}

  // What `Operations` makes of the logits.
  auto run(const TokenBatch& texts) {
    do_.begin(texts);
    Array x = embedded(texts);
    do_.observe_hidden(0, x);
    const auto layers = static_cast<std::int64_t>(model_.layers.size());
    for (std::int64_t n = 0; n < layers; ++n) {
      const LayerDescription& of = model_.layers[n];
      weights_.load(do_, of, n);
      x = after_layer(of, n, std::move(x));
      do_.observe_hidden(n + 1, x);
    }
    if (model_.final_norm || model_.embedding_width != model_.width) {
      x = output(std::move(x));
      do_.observe_output(x);
    }
    return do_.predictions(before_head(std::move(x)), texts);
  }

 private:
  Array embedded(const TokenBatch& texts) {
    const std::string positions(parameter::kPositions), types(parameter::kTokenTypes);
    Matrix in;
    Norm norm;
    const bool narrow = model_.embedding_width != model_.width;
    if (narrow) do_.load(in, {std::string(parameter::kEmbeddingIn)});
    if (model_.embedding_norm) do_.load(norm, std::string(parameter::kEmbeddingNorm));
    return do_.by_rows(texts.rows(), [&](TokenRange range) {
      Array y = do_.scaled(do_.token_rows(std::string(parameter::kEmbedding), range), model_.embedding_scale);
      if (narrow) y = do_.product(y, in);
      if (model_.token_types > 0) y = do_.add(std::move(y), do_.first_rows(types, range));
      if (model_.learned_positions > 0) {
        y = do_.add(std::move(y), do_.position_rows(positions, range, model_.position_offset));
      }
      if (model_.embedding_norm) y = do_.norm(y, *model_.embedding_norm, norm);
      return std::array{y};
    })[0];
  }

  Array after_layer(const LayerDescription& of, std::int64_t number, Array x) {
    const BranchNorms& norms = of.attention_norms;
    const auto attention_reads = [&](const Array& rows) {
      return norms.before ? do_.norm(rows, *norms.before, weights_.attention_before) : rows;
    };
    const std::array<Array, 3> inputs = do_.by_rows(
        x.rows, [&](TokenRange range) { return projected(of.attention, attention_reads(do_.part(x, range)), range); });
    const Array attended = do_.attention(of.attention, number, inputs, weights_.sink);
    if (of.feed_forward.experts) {
      x = do_.update_rows(std::move(x), [&](const Array& rows, TokenRange range) {
        return after_attention(of, rows, attention_reads, do_.part(attended, range));
      });
      return after_experts(of, number, std::move(x));
    }
    return do_.update_rows(std::move(x), [&](const Array& rows, TokenRange range) {
      const Array y = after_attention(of, rows, attention_reads, do_.part(attended, range));
      const bool reads_as_attention = of.parallel && !of.feed_forward_norms.before;
      const Array input = reads_as_attention ? attention_reads(rows) : feed_forward_reads(of, of.parallel ? rows : y);
      return added(of.feed_forward_norms, y, units(of.feed_forward, input, weights_.feed_forward.up),
                   weights_.feed_forward.down, weights_.feed_forward_after, weights_.feed_forward_sum);
    });
  }

  // Queries, keys and values of heads side by side.
  std::array<Array, 3> projected(const AttentionDescription& of, const Array& x, TokenRange range) {
    if (of.latent) return latent_projected(of, *of.latent, x, range);
    const std::int64_t queries = of.heads * of.query_width, keys = of.key_heads * of.query_width;
    Array all = do_.product(x, weights_.projections);
    if (of.clip) all = do_.clipped(std::move(all), *of.clip);
    auto [query, key, value] = do_.split(std::move(all), std::array{queries, keys, of.key_heads * of.value_width});
    if (of.query_key_norm != QueryKeyNorm::kNone) {
      query = head_norm(of, query, of.heads, weights_.query_norm);
      key = head_norm(of, key, of.key_heads, weights_.key_norm);
    }
    if (of.rotary) {
      query = do_.rotated(std::move(query), *of.rotary, of.heads, 0, range);
      key = do_.rotated(std::move(key), *of.rotary, of.key_heads, 0, range);
    }
    return {query, key, value};
  }

  Array head_norm(const AttentionDescription& of, const Array& x, std::int64_t heads, const Norm& norm) {
    const bool whole = of.query_key_norm == QueryKeyNorm::kWhole;
    return do_.norm(x, of.query_key_norm_kind, norm, whole ? 1 : heads, of.query_key_norm == QueryKeyNorm::kPerHead);
  }

  std::array<Array, 3> latent_projected(const AttentionDescription& of, const Latent& latent, const Array& x,
                                        TokenRange range) {
    const std::int64_t of_query = latent.query_rank > 0 ? latent.query_rank : of.heads * of.query_width;
    auto [query, of_both, rotary_key] =
        do_.split(do_.product(x, weights_.projections), std::array{of_query, latent.key_value_rank, latent.rope_width});
    if (latent.query_rank > 0) {
      query = do_.product(do_.norm(query, latent.norm, weights_.query_latent_norm), weights_.latent_query);
    }
    const std::int64_t keys = of.heads * latent.nope_width;
    const auto [key, value] =
        do_.split(do_.product(do_.norm(of_both, latent.norm, weights_.latent_norm), weights_.latent_key_value),
                  std::array{keys, of.heads * of.value_width});
    if (of.rotary) {
      query = do_.rotated(std::move(query), *of.rotary, of.heads, latent.nope_width, range);
      rotary_key = do_.rotated(std::move(rotary_key), *of.rotary, 1, 0, range);
    }
    return {query, do_.with_shared_end(key, of.heads, rotary_key), value};
  }

  template <class Reads>
  Array after_attention(const LayerDescription& of, const Array& x, const Reads& reads, Array attended) {
    if (of.attention.output_gate) {
      attended = do_.times_sigmoid(std::move(attended), do_.product(reads(x), weights_.output_gate));
    }
    return added(of.attention_norms, x, attended, weights_.output, weights_.attention_after, weights_.attention_sum);
  }

  // S(x + m·A(y Wᵀ + b))
  Array added(const BranchNorms& norms, const Array& x, const Array& y, const Matrix& matrix, const Norm& after,
              const Norm& sum) {
    if (!norms.after && model_.residual_multiplier == 1.0) {
      return summed(norms, do_.product_added(x, y, matrix), sum);
    }
    return added(norms, x, do_.product(y, matrix), after, sum);
  }
  Array added(const BranchNorms& norms, const Array& x, Array y, const Norm& after, const Norm& sum) {
    if (norms.after) y = do_.norm(y, *norms.after, after);
    return summed(norms, do_.add(do_.scaled(std::move(y), model_.residual_multiplier), x), sum);
  }
  Array summed(const BranchNorms& norms, const Array& x, const Norm& sum) {
    return norms.after_sum ? do_.norm(x, *norms.after_sum, sum) : x;
  }

  Array feed_forward_reads(const LayerDescription& of, const Array& x) {
    const auto& before = of.feed_forward_norms.before;
    return before ? do_.norm(x, *before, weights_.feed_forward_before) : x;
  }

  // What a feed-forward's last product takes.
  Array units(const FeedForwardDescription& of, const Array& x, const Matrix& up) {
    Array y = do_.product(x, up);
    return of.gated ? do_.gated(std::move(y), of) : do_.activated(std::move(y), of.activation);
  }

  Array after_experts(const LayerDescription& of, std::int64_t number, Array x) {
    const Experts& experts = *of.feed_forward.experts;
    const std::array<Array, 2> inputs = do_.by_rows(x.rows, [&](TokenRange range) {
      const Array rows = feed_forward_reads(of, do_.part(x, range));
      return std::array{rows, do_.product(rows, weights_.router)};
    });
    const Array mixed =
        do_.mixed(inputs[0], do_.routes(inputs[1], experts, weights_.choice_bias), experts,
                  [&](std::int64_t expert, const Array& rows) {
                    FeedForwardWeights<Operations> one;
                    one.load(do_, parameter::layer(number, parameter::expert(expert, ".")), of.feed_forward.gated);
                    return do_.product(units(of.feed_forward, rows, one.up), one.down);
                  });
    return do_.update_rows(std::move(x), [&](const Array& rows, TokenRange range) {
      Array y = do_.part(mixed, range);
      if (experts.shared_width > 0) {
        y = do_.product_added(y, units(of.feed_forward, do_.part(inputs[0], range), weights_.feed_forward.up),
                              weights_.feed_forward.down);
      }
      return added(of.feed_forward_norms, rows, y, weights_.feed_forward_after, weights_.feed_forward_sum);
    });
  }

  // Past the last layer: the final norm, and the way back to the embedding's width.
  Array output(Array x) {
    if (model_.final_norm) {
      Norm norm;
      do_.load(norm, std::string(parameter::kFinalNorm));
      x = do_.update_rows(std::move(x),
                          [&](const Array& rows, TokenRange) { return do_.norm(rows, *model_.final_norm, norm); });
    }
    if (model_.embedding_width != model_.width) {
      Matrix out;
      do_.load(out, {std::string(parameter::kEmbeddingOut)});
      x = do_.by_rows(x.rows, [&](TokenRange range) { return std::array{do_.product(do_.part(x, range), out)}; })[0];
    }
    return x;
  }

  // What the head multiplies.
  Array before_head(Array x) {
    if (!model_.has_head || !model_.masked_head) return x;
    Matrix dense;
    Norm norm;
    do_.load(dense, {std::string(parameter::kMaskedDense)});
    do_.load(norm, std::string(parameter::kMaskedNorm));
    return do_.update_rows(std::move(x), [&](const Array& rows, TokenRange) {
      return do_.norm(do_.activated(do_.product(rows, dense), model_.masked_head->activation), model_.masked_head->norm,
                      norm);
    });
  }

  const Description& model_;
  Operations& do_;
  LayerWeights<Operations> weights_;
};

}  // namespace polariscope::models
