/* Polariscope's heart for any language: attention over strided arrays with the statistics of its rows, its gradients,
 * and the alarms of a training. Plain C; no exception and no allocation crosses it except the detector's handle.
 *
 * Every function that can fail returns 0, or 1 with a sentence in polariscope_last_error(): what was expected, what was
 * found. Nothing is written then that a caller could take for a result. Calls from several threads need no lock, except
 * those on one detector.
 *
 * Structures begin with `size`, set by the caller to their sizeof: a library of this version accepts the structures of
 * every version before it, and fields that the caller does not know are absent. */
#ifndef POLARISCOPE_C_API_H
#define POLARISCOPE_C_API_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define POLARISCOPE_API __attribute__((visibility("default")))
#else
#define POLARISCOPE_API
#endif

/* Rises by one when a structure gains a field or a function is added; nothing is ever taken away. */
#define POLARISCOPE_API_VERSION 3
POLARISCOPE_API int32_t polariscope_api_version(void);
POLARISCOPE_API const char* polariscope_version(void);    /* of the program, "0.1.0" */
POLARISCOPE_API const char* polariscope_last_error(void); /* of this thread's last call that failed; never null */

/* The instruction sets that this processor and this library share, best first, separated by commas: "AVX3,AVX2,EMU128".
 * polariscope_use_instruction_set: that of calls from here on, in the whole process; null: the best. */
POLARISCOPE_API const char* polariscope_instruction_sets(void);
POLARISCOPE_API int32_t polariscope_use_instruction_set(const char* name);

/* ---- the family of attentions ---------------------------------------------------------------------------------- */

POLARISCOPE_API int32_t polariscope_form_count(void);
typedef struct {
  size_t size;
  const char *name, *alias, *formula; /* alias: "" where there is none */
  const char* statistics;             /* those that it has, by the names of polariscope_rows' fields, with commas */
  const char* parameters;             /* those that it has, by name, with commas */
  int32_t scaled;                     /* whether the default scale is 1/sqrt(width), else 1 */
  int32_t kind;                       /* 0: weights are positive and sum to one, 1: positive, 2: signed, 3: uniform */
} polariscope_form;
POLARISCOPE_API int32_t polariscope_describe_form(int32_t index, polariscope_form* form);
/* By name or alias; -1 with an error that names the nearest one. */
POLARISCOPE_API int32_t polariscope_find_form(const char* name);

/* ---- attention ------------------------------------------------------------------------------------------------- */

enum { POLARISCOPE_FLOAT32 = 0, POLARISCOPE_FLOAT64 = 1 };

/* [batch, heads, rows, width], the width contiguous; strides in elements, 0 broadcasts what is only read. */
typedef struct {
  void* data;
  int64_t batch_stride, head_stride, row_stride;
} polariscope_heads;

typedef struct {
  size_t size;
  int32_t type;            /* of every array that is not named otherwise */
  int32_t threads;         /* 0: one a processor. The same number gives the same bits */
  const char* form;        /* name or alias */
  int32_t parameter_count; /* of the form, by name: alpha, gamma, zeta, epsilon, transform_factor, sum_offset, ... */
  int32_t causal;          /* query i sees key j <= i + keys - queries */
  const char* const* parameter_names;
  const double* parameter_values;
  int64_t batch, heads, key_heads, queries, keys, width, value_width; /* heads is a multiple of key_heads */
  int64_t window; /* > 0: only keys less than this before its own (and, not causal, after) */
  double scale;   /* NaN: the form's default */
  polariscope_heads query, key, value;
  polariscope_heads bias;     /* [batch, heads, queries, keys], keys contiguous; null: none. -inf hides a key */
  const void* slopes;         /* [heads], ALiBi; null: none */
  const void* sink;           /* [heads], score of a sink; null: 0 */
  const int64_t* key_lengths; /* [batch]; null: keys */
  /* Since version 2. Of float32: products of numbers rounded to bfloat16 with sums in float32, where the processor has
   * them and the form is served; else nothing changes. Arrays that hold bfloat16 numbers lose nothing in the scores. */
  int32_t bfloat16;
  /* Since version 3: caches of keys and values as they lie in memory, for all but polariscope_attend_backward.
   * In place of key and value, which are null then, bfloat16 numbers: uint16_t, the upper half of a float's bits. */
  polariscope_heads bfloat16_key, bfloat16_value;
  /* Keys and values in pages of page_keys rows each, batch_stride then being from one page to the next: key j of a
   * sequence is row j % page_keys of the page that entry j / page_keys of its table names, one in [0, page_count).
   * Entries beyond a sequence's length are not read. Null: no pages. */
  const int32_t* pages; /* [batch, keys/page_keys rounded up] */
  int64_t pages_stride; /* from one sequence's table to the next */
  int64_t page_keys, page_count;
} polariscope_attention;

/* What is written: the output and, of each row, [batch, heads, queries] contiguous; null: not wanted, costs nothing. */
typedef struct {
  size_t size;
  polariscope_heads output; /* [batch, heads, queries, value_width] */
  void *entropy, *sum_of_squares, *maximum;
  int32_t* argmax;
  void *first_key, *row_sum, *log_sum_exp, *logit_mean, *logit_variance, *logit_maximum, *skewness;
  int32_t* visible;
  uint8_t* non_finite;
  void *shift, *inverse, *mass; /* what the gradients and the column means need of a row */
  void* first_visible_key;      /* p of the first key that the row sees, 0 if none */
} polariscope_rows;

POLARISCOPE_API int32_t polariscope_attend(const polariscope_attention* attention, const polariscope_rows* rows);

/* Mean weight that each key receives from the queries that see it, [batch, heads, keys], from the rows' shift and
 * inverse. */
POLARISCOPE_API int32_t polariscope_attend_columns(const polariscope_attention* attention, const polariscope_rows* rows,
                                                   void* column_means);

/* p itself, [batch, heads, queries, keys] with strides, 0 where a key is not seen. */
POLARISCOPE_API int32_t polariscope_attention_weights(const polariscope_attention* attention,
                                                      const polariscope_heads* weights);

/* Gradients that come in, [batch, heads, queries] each; null: zero. */
typedef struct {
  size_t size;
  polariscope_heads output; /* [batch, heads, queries, value_width], width contiguous */
  const void *entropy, *sum_of_squares, *maximum, *first_key, *log_sum_exp, *logit_mean, *logit_variance;
  const void* first_visible_key;
} polariscope_rows_gradient;

/* Gradients that go out; null: not wanted. */
typedef struct {
  size_t size;
  polariscope_heads query, key, value; /* key, value: sums over the query heads that share them */
  polariscope_heads bias;              /* [batch, heads, queries, keys], never broadcast */
  void* sink;                          /* [heads] */
  /* [heads] each, of the form's parameters */
  void *transform_factor, *sum_offset, *count_power, *gamma, *zeta, *epsilon, *alpha;
} polariscope_gradient;

/* `rows`: what polariscope_attend wrote, with shift, inverse (and mass for the entropy's gradient, argmax for the
 * maximum's, logit_mean and visible for the logits' moments, visible for count_power's). */
POLARISCOPE_API int32_t polariscope_attend_backward(const polariscope_attention* attention,
                                                    const polariscope_rows* rows,
                                                    const polariscope_rows_gradient* incoming,
                                                    const polariscope_gradient* gradient);

/* ---- alarms of a training -------------------------------------------------------------------------------------- */

typedef struct polariscope_detector polariscope_detector;

/* Attention maps of `tokens` queries and keys, of all heads of all layers. Null on failure. */
POLARISCOPE_API polariscope_detector* polariscope_detector_new(int32_t layers, int32_t heads, int32_t tokens,
                                                               int32_t causal);
POLARISCOPE_API void polariscope_detector_free(polariscope_detector* detector);

typedef struct {
  size_t size;
  int32_t kind;        /* 0: collapse, 1: runaway */
  int32_t layer, head; /* counted from 1 */
  int64_t step;
  double relative_entropy, norm_share, logit_variance, variance_growth, gradient_factor;
  const char* words; /* one sentence; valid until the next call on this detector */
} polariscope_alarm;

/* One step: entropy, Frobenius norm and logit variance [layers, heads], means over the batch. Writes at most
 * `capacity` alarms and their whole number to *count. */
POLARISCOPE_API int32_t polariscope_detector_step(polariscope_detector* detector, int64_t step, double gradient_norm,
                                                  const double* entropy, const double* frobenius_norm,
                                                  const double* logit_variance, polariscope_alarm* alarms,
                                                  int32_t capacity, int32_t* count);

/* State for a checkpoint: polariscope_detector_state_size numbers. */
POLARISCOPE_API int64_t polariscope_detector_state_size(const polariscope_detector* detector);
POLARISCOPE_API int32_t polariscope_detector_save(const polariscope_detector* detector, double* state);
POLARISCOPE_API int32_t polariscope_detector_restore(polariscope_detector* detector, const double* state, int64_t size);

#ifdef __cplusplus
}
#endif
#endif
