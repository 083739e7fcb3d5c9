// What the two attention files share: the segments of a ragged batch, and the float32 kernel of attention_cpu.cc.
#pragma once
#include "kernels.hpp"

namespace ft {

struct Segment {
  int64_t start, end, prefix; // prefix: index of the segment whose keys come first, or -1
  int64_t length() const { return end - start; }
};

// q [N, A, D], k and v [N, K, D], all float32 on the CPU; fills out [N, A, D] and lse [A, N], both contiguous.
void attend_cpu(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, const std::vector<Segment> &segments, float scale,
                at::Tensor &out, at::Tensor &lse);

// Adds to dq, dk, dv, which are contiguous and zero.
void attend_backward_cpu(const at::Tensor &grad, const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, const at::Tensor &out,
                         const at::Tensor &lse, const std::vector<Segment> &segments, float scale, at::Tensor &dq, at::Tensor &dk,
                         at::Tensor &dv);

// One sequence's new rows q [L, A, D] against a cache slot of keys and values [capacity, K, D], of which the first keys rows count;
// row i sees all but the last L-1-i of them. Fills out [L, A, D].
void attend_cache_cpu(const at::Tensor &q, const at::Tensor &kcache, const at::Tensor &vcache, int64_t keys, float scale, at::Tensor &out);

} // namespace ft
