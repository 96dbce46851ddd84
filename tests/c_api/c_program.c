/* Attention, its gradients and the alarms from C, on every instruction set, held to sums written out here. */
#include "polariscope/c_api.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kQueries = 5, kKeys = 7, kWidth = 19, kValueWidth = 3, kHeads = 2 };

static int failures = 0;

static void expect_near(double found, double expected, const char* what) {
  if (fabs(found - expected) <= 1e-12 * (1 + fabs(expected))) return;
  fprintf(stderr, "%s: expected %.17g, found %.17g\n", what, expected, found);
  ++failures;
}

static void expect_success(int32_t status, const char* what) {
  if (status == 0) return;
  fprintf(stderr, "%s: %s\n", what, polariscope_last_error());
  exit(1);
}

/* Numbers in (-1, 1), the same everywhere. */
static void fill(double* numbers, int count, unsigned state) {
  for (int i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    numbers[i] = (double)(state >> 8) / (1 << 23) - 1.0;
  }
}

static polariscope_heads packed(double* data, int64_t heads, int64_t rows, int64_t width) {
  polariscope_heads array;
  array.data = data;
  array.batch_stride = heads * rows * width;
  array.head_stride = rows * width;
  array.row_stride = width;
  return array;
}

/* Output and entropy of softmax attention; returns Σ output + Σ entropy, of which attend() has the gradient. */
static double plain(const double* query, const double* key, const double* value, double* output, double* entropy) {
  double loss = 0;
  for (int row = 0; row < kHeads * kQueries; ++row) {
    const int head = row / kQueries, last = row % kQueries + kKeys - kQueries;
    double weight[kKeys], sum = 0;
    for (int j = 0; j <= last; ++j) {
      double score = 0;
      for (int d = 0; d < kWidth; ++d) score += query[row * kWidth + d] * key[(head * kKeys + j) * kWidth + d];
      sum += weight[j] = exp(score / sqrt((double)kWidth));
    }
    entropy[row] = 0;
    for (int c = 0; c < kValueWidth; ++c) output[row * kValueWidth + c] = 0;
    for (int j = 0; j <= last; ++j) {
      const double p = weight[j] / sum;
      entropy[row] -= p * log(p);
      for (int c = 0; c < kValueWidth; ++c)
        output[row * kValueWidth + c] += p * value[(head * kKeys + j) * kValueWidth + c];
    }
    loss += entropy[row];
    for (int c = 0; c < kValueWidth; ++c) loss += output[row * kValueWidth + c];
  }
  return loss;
}

static void check_attention(const char* instruction_set) {
  static double query[kHeads * kQueries * kWidth], key[kHeads * kKeys * kWidth], value[kHeads * kKeys * kValueWidth];
  static double output[kHeads * kQueries * kValueWidth], entropy[kHeads * kQueries],
      expected_entropy[kHeads * kQueries];
  static double expected_output[kHeads * kQueries * kValueWidth], ones[kHeads * kQueries * kValueWidth];
  static double shift[kHeads * kQueries], inverse[kHeads * kQueries], mass[kHeads * kQueries];
  static double d_query[kHeads * kQueries * kWidth], d_key[kHeads * kKeys * kWidth];
  polariscope_attention attention;
  polariscope_rows rows;
  polariscope_rows_gradient incoming;
  polariscope_gradient gradient;

  expect_success(polariscope_use_instruction_set(instruction_set), instruction_set);
  fill(query, kHeads * kQueries * kWidth, 1);
  fill(key, kHeads * kKeys * kWidth, 2);
  fill(value, kHeads * kKeys * kValueWidth, 3);
  memset(&attention, 0, sizeof attention);
  attention.size = sizeof attention;
  attention.type = POLARISCOPE_FLOAT64;
  attention.threads = 1;
  attention.form = "softmax";
  attention.causal = 1;
  attention.batch = 1;
  attention.heads = attention.key_heads = kHeads;
  attention.queries = kQueries;
  attention.keys = kKeys;
  attention.width = kWidth;
  attention.value_width = kValueWidth;
  attention.scale = NAN;
  attention.query = packed(query, kHeads, kQueries, kWidth);
  attention.key = packed(key, kHeads, kKeys, kWidth);
  attention.value = packed(value, kHeads, kKeys, kValueWidth);
  memset(&rows, 0, sizeof rows);
  rows.size = sizeof rows;
  rows.output = packed(output, kHeads, kQueries, kValueWidth);
  rows.entropy = entropy;
  rows.shift = shift;
  rows.inverse = inverse;
  rows.mass = mass;
  expect_success(polariscope_attend(&attention, &rows), "attend");
  plain(query, key, value, expected_output, expected_entropy);
  for (int i = 0; i < kHeads * kQueries * kValueWidth; ++i) expect_near(output[i], expected_output[i], "output");
  for (int i = 0; i < kHeads * kQueries; ++i) expect_near(entropy[i], expected_entropy[i], "entropy");

  for (int i = 0; i < kHeads * kQueries * kValueWidth; ++i) ones[i] = 1;
  memset(&incoming, 0, sizeof incoming);
  incoming.size = sizeof incoming;
  incoming.output = packed(ones, kHeads, kQueries, kValueWidth);
  incoming.entropy = ones;
  memset(&gradient, 0, sizeof gradient);
  gradient.size = sizeof gradient;
  gradient.query = packed(d_query, kHeads, kQueries, kWidth);
  gradient.key = packed(d_key, kHeads, kKeys, kWidth);
  expect_success(polariscope_attend_backward(&attention, &rows, &incoming, &gradient), "attend_backward");
  for (int i = 0; i < kHeads * kKeys * kWidth; i += 5) {
    double* at = i < kHeads * kQueries * kWidth ? &query[i] : &key[i];
    const double was = *at, step = 1e-4;
    double slope;
    *at = was + step;
    slope = plain(query, key, value, expected_output, expected_entropy);
    *at = was - step;
    slope -= plain(query, key, value, expected_output, expected_entropy);
    *at = was;
    slope /= 2 * step;
    if (fabs(slope - (i < kHeads * kQueries * kWidth ? d_query[i] : d_key[i])) > 1e-6) {
      fprintf(stderr, "%s: gradient %d is off\n", instruction_set, i);
      ++failures;
    }
  }
}

int main(void) {
  char names[256], *name;
  strncpy(names, polariscope_instruction_sets(), sizeof names - 1);
  names[sizeof names - 1] = 0;
  for (name = strtok(names, ","); name != NULL; name = strtok(NULL, ",")) {
    check_attention(name);
    printf("%s: %s\n", name, failures == 0 ? "as expected" : "wrong");
  }
  if (polariscope_attend(NULL, NULL) != 1 || strlen(polariscope_last_error()) == 0) ++failures;
  return failures == 0 ? 0 : 1;
}
