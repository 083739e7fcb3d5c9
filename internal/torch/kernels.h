// C interface of the kernels that gotch's libtch lacks. A tensor is an at::Tensor* as in libtch, so both layers mix freely.
//
// A function that returns a tensor returns NULL on failure, any other returns nonzero; ft_error then has the message.
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef void *ft_tensor;

// The message of the last failure on this OS thread. The caller frees it. NULL when there is none.
char *ft_error(void);

// ---- threads and modes (core.cc)
int ft_grad_mode(int on); // of this OS thread; returns what it was
void ft_set_threads(int n);
int ft_threads(void);
int ft_cuda_devices(void);

// ---- tensors (core.cc)
enum { FT_MAX_DIM = 8 };
typedef struct {
  int dim, dtype, requires_grad, device; // device: -1 CPU, else the CUDA index
  int64_t shape[FT_MAX_DIM];
  int64_t numel;
  void *data; // first element; only meaningful to read on the CPU and when contiguous
  int contiguous;
} ft_info_t;
int ft_info(ft_tensor t, ft_info_t *info);
ft_tensor ft_grad(ft_tensor parameter);                        // a new handle, or NULL without error when there is none
int ft_set_grad(ft_tensor parameter, ft_tensor grad);          // NULL drops the gradient
int ft_backward(ft_tensor x, ft_tensor grad); // grad of x's shape; NULL: x is a scalar with gradient 1
int ft_copy_bytes(ft_tensor dst, const void *src, int dtype, int64_t elements, int64_t offset); // into a flat range, converting
int ft_slice_bytes(ft_tensor src, void *dst, int64_t bytes);   // contiguous copy out, no conversion
ft_tensor ft_empty(const int64_t *shape, int dim, int dtype, int device);
int ft_split(ft_tensor x, const int64_t *sizes, int n, int64_t dim, ft_tensor *parts); // views; one gradient for all of them
ft_tensor ft_from_data(const void *data, const int64_t *shape, int dim, int dtype, int device);

// ---- memory (allocator.cc)
typedef struct {
  int64_t live, peak;     // bytes asked for by tensors that exist; the largest value since ft_memory_reset_peak
  int64_t cached;         // bytes freed by tensors and kept for the next ones
  int64_t allocations;    // number of allocations that reached the system
} ft_memory_t;
void ft_memory_install(void);
void ft_memory_get(ft_memory_t *m);
void ft_memory_reset_peak(void);
void ft_memory_trim(void);
void ft_memory_limit(int64_t bytes); // live bytes beyond which an allocation fails; 0: none

// ---- network (linear.cc, norm.cc, rope.cc, gate.cc, attention.cc)
ft_tensor ft_linear(ft_tensor x, ft_tensor weight, ft_tensor bias); // bias may be NULL
int ft_few_rows(int on); // on this OS thread ft_linear takes its own way for few rows without gradients; returns what it was
ft_tensor ft_rms_norm(ft_tensor x, ft_tensor weight, double eps, int unit_offset);
ft_tensor ft_rope(ft_tensor x, ft_tensor cos, ft_tensor sin, int interleaved);
ft_tensor ft_gated(ft_tensor gate, ft_tensor up, int activation); // up NULL: the halves of gate's rows are gate and up
ft_tensor ft_activate(ft_tensor x, int activation);
ft_tensor ft_dropout(ft_tensor x, double p, uint64_t seed);
// What becomes of a score q·k before the softmax: s = scale·q·k, s = cap·tanh(s/cap) if cap > 0, s + slope·(place of the key).
typedef struct {
  double scale, cap;
  int64_t window;      // keys that a query sees at most, its own the last of them; 0: all before it
} ft_scores_t; // slopes: ALiBi's, one a query head, or NULL for none
// segments: n triples start, end, prefix (index of the segment seen before this one, or -1).
ft_tensor ft_attention(ft_tensor q, ft_tensor k, ft_tensor v, const int64_t *segments, int n, const ft_scores_t *scores, const float *slopes);
// One sequence a segment. triples start, end, slot; past[i] tokens are in the caches already, which are written.
ft_tensor ft_attention_cached(ft_tensor q, ft_tensor k, ft_tensor v, ft_tensor kcache, ft_tensor vcache, const int64_t *segments,
                              int n, const int64_t *past, const ft_scores_t *scores, const float *slopes);

// ---- head (head.cc)
// Parts of the head beside its weight; each may be absent.
typedef struct {
  ft_tensor bias;
  ft_tensor tail; // the last rows of the weight as a leaf of its own over the same memory: only they collect a gradient
  double cap;     // above 0: logits become cap·tanh(logit/cap)
} ft_head_t;
ft_tensor ft_cross_entropy(ft_tensor hidden, ft_tensor weight, ft_tensor labels, const ft_head_t *head, int64_t chunk_bytes,
                           ft_tensor *each); // each: of every row, float64, without gradient
ft_tensor ft_token_losses(ft_tensor hidden, ft_tensor weight, ft_tensor labels, const ft_head_t *head, int64_t chunk_bytes); // of each row
ft_tensor ft_known(ft_tensor x, ft_tensor derivatives, double value); // a scalar whose derivatives by x are given
// Rows of weight; the gradient goes to tail, its last rows as a leaf of their own over the same memory.
ft_tensor ft_embedding_tail(ft_tensor weight, ft_tensor tail, ft_tensor ids);

// ---- optimizer (optimizer.cc)
typedef struct {
  double lr, beta1, beta2, eps, clip; // gradients are multiplied by clip first
  int64_t step;                       // 1 for the first
} ft_adamw_t;
int ft_adamw(ft_tensor *params, ft_tensor *grads, ft_tensor *m, ft_tensor *v, const double *weight_decay, int n, const ft_adamw_t *o);
int ft_norm(ft_tensor *tensors, int n, double *norm); // 2-norm over all elements of all tensors

#ifdef __cplusplus
}
#endif
