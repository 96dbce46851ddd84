// All rows of an input, one after the other.
#pragma once

#include "polariscope/attention/oracle/internal/row.h"

namespace polariscope::attention::oracle {

// Where a row stands.
struct Place {
  std::int64_t batch, head, key_head, query;
  std::int64_t index;  // in an array [batch, heads, queries]
};

// φ of a head's queries [queries, width] and of its sequence's keys [keys, width]; keys behind the sequence's
// length are never read.
template <class T>
struct Features {
  std::vector<T> query, key;
};

// visit(place, features, row) for every query, in order.
template <class T, class Visit>
void for_each_row(const AttentionInput<T>& input, Visit visit) {
  const AttentionShape& shape = input.shape;
  Place at = {};
  for (at.batch = 0; at.batch < shape.batch; ++at.batch) {
    for (at.head = 0; at.head < shape.heads; ++at.head) {
      at.key_head = at.head / (shape.heads / shape.key_heads);
      const Features<T> phi{features(input, input.query, at.batch, at.head, shape.queries),
                            features(input, input.key, at.batch, at.key_head, sequence_keys(input, at.batch))};
      for (at.query = 0; at.query < shape.queries; ++at.query, ++at.index) {
        const T* phi_q = phi.query.data() + at.query * shape.width;
        visit(at, phi, row_of(input, at.batch, at.head, at.query, phi_q, phi.key.data()));
      }
    }
  }
}

}  // namespace polariscope::attention::oracle
