// Attention of one head over one segment, float32, for the CPU.
//
// Everything is six small matrix products around a softmax: S = Q·Kᵀ, O = P·V, and backward dP = dO·Vᵀ, dQ = dS·K, dV = Pᵀ·dO,
// dK = dSᵀ·Q. Rows of queries are taken in blocks, so that a block's scores stay in the cache; keys and values are packed once a
// task, padded with zeros to whole vectors, and a prefix's keys stand before the segment's own. A task is one query head of one
// segment; its results do not depend on the number of threads.
#include "attention.hpp"

#include <algorithm>
#include <numeric>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ft {
namespace {

constexpr int64_t kRows = 6;   // rows and
constexpr int64_t kCols = 16;  // columns of the register tile: 12 accumulators of 8 floats
constexpr int64_t kBlock = 48; // query rows whose scores are held at a time

int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// product: C[m][n] (+)= A[m][k]·B[k][n], A by strides ra and ca; n is a multiple of 16.
typedef void (*Product)(const float *a, int64_t ra, int64_t ca, const float *b, int64_t ldb, float *c, int64_t ldc, int64_t m, int64_t n,
                        int64_t k, bool add);

#if defined(__x86_64__)
#define FT_AVX2 __attribute__((target("avx2,fma")))

template <int R>
FT_AVX2 inline __attribute__((always_inline)) void tile_avx2(const float *a, int64_t ra, int64_t ca, const float *b, int64_t ldb, float *c,
                                                             int64_t ldc, int64_t k, bool add) {
  __m256 acc[R][2];
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
    acc[r][0] = add ? _mm256_loadu_ps(c + r * ldc) : _mm256_setzero_ps();
    acc[r][1] = add ? _mm256_loadu_ps(c + r * ldc + 8) : _mm256_setzero_ps();
  }
  for (int64_t i = 0; i < k; i++) {
    const __m256 b0 = _mm256_loadu_ps(b + i * ldb), b1 = _mm256_loadu_ps(b + i * ldb + 8);
    const float *ai = a + i * ca;
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
      const __m256 x = _mm256_broadcast_ss(ai + r * ra);
      acc[r][0] = _mm256_fmadd_ps(x, b0, acc[r][0]);
      acc[r][1] = _mm256_fmadd_ps(x, b1, acc[r][1]);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
    _mm256_storeu_ps(c + r * ldc, acc[r][0]);
    _mm256_storeu_ps(c + r * ldc + 8, acc[r][1]);
  }
}

FT_AVX2 void product_avx2(const float *a, int64_t ra, int64_t ca, const float *b, int64_t ldb, float *c, int64_t ldc, int64_t m, int64_t n,
                          int64_t k, bool add) {
  for (int64_t j = 0; j < n; j += kCols) {
    int64_t i = 0;
    for (; i + kRows <= m; i += kRows) tile_avx2<6>(a + i * ra, ra, ca, b + j, ldb, c + i * ldc + j, ldc, k, add);
    const float *ai = a + i * ra;
    float *ci = c + i * ldc + j;
    switch (m - i) {
    case 5: tile_avx2<5>(ai, ra, ca, b + j, ldb, ci, ldc, k, add); break;
    case 4: tile_avx2<4>(ai, ra, ca, b + j, ldb, ci, ldc, k, add); break;
    case 3: tile_avx2<3>(ai, ra, ca, b + j, ldb, ci, ldc, k, add); break;
    case 2: tile_avx2<2>(ai, ra, ca, b + j, ldb, ci, ldc, k, add); break;
    case 1: tile_avx2<1>(ai, ra, ca, b + j, ldb, ci, ldc, k, add); break;
    }
  }
}
#endif

// For other machines: a row of 16 sums at a time, which compilers vectorise.
void product_any(const float *a, int64_t ra, int64_t ca, const float *b, int64_t ldb, float *c, int64_t ldc, int64_t m, int64_t n, int64_t k,
                 bool add) {
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j += kCols) {
      float sum[kCols];
      for (int64_t h = 0; h < kCols; h++) sum[h] = add ? c[i * ldc + j + h] : 0;
      for (int64_t l = 0; l < k; l++) {
        const float x = a[i * ra + l * ca];
#pragma omp simd
        for (int64_t h = 0; h < kCols; h++) sum[h] += x * b[l * ldb + j + h];
      }
      for (int64_t h = 0; h < kCols; h++) c[i * ldc + j + h] = sum[h];
    }
}

Product choose_product() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return product_avx2;
#endif
  return product_any;
}

const Product product = choose_product();

// x becomes e^(scale·x − max); returns the log of the sum of e^(scale·x). x beyond n, up to width, becomes 0.
FT_LOOP float softmax_row(float *x, int64_t n, int64_t width, float scale) {
  float max = x[0];
#pragma omp simd reduction(max : max)
  for (int64_t i = 0; i < n; i++) max = x[i] > max ? x[i] : max;
  max *= scale;
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; i++) {
    const float e = exp_(x[i] * scale - max);
    x[i] = e;
    sum += e;
  }
  const float inverse = 1.0f / sum;
#pragma omp simd
  for (int64_t i = 0; i < n; i++) x[i] *= inverse;
  for (int64_t i = n; i < width; i++) x[i] = 0;
  return max + std::log(sum);
}

// s becomes P = e^(scale·s − lse), dp becomes dS = P⊙(dP − delta)·scale; both 0 from n to width.
FT_LOOP void backward_row(float *s, float *dp, int64_t n, int64_t width, float scale, float lse, float delta) {
#pragma omp simd
  for (int64_t i = 0; i < n; i++) {
    const float p = exp_(s[i] * scale - lse);
    s[i] = p;
    dp[i] = p * (dp[i] - delta) * scale;
  }
  for (int64_t i = n; i < width; i++) s[i] = dp[i] = 0;
}

FT_LOOP float dot(const float *a, const float *b, int64_t n) {
  float s = 0;
#pragma omp simd reduction(+ : s)
  for (int64_t i = 0; i < n; i++) s += a[i] * b[i];
  return s;
}

FT_LOOP void add_scaled(float *y, const float *x, float f, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; i++) y[i] += f * x[i];
}

// A head's rows inside a [N, heads, D] tensor.
struct Rows {
  const float *data;
  int64_t stride; // between tokens
};

Rows head_rows(const at::Tensor &t, int64_t token, int64_t head) {
  return {t.data_ptr<float>() + (token * t.size(1) + head) * t.size(2), t.size(1) * t.size(2)};
}

// Copies n rows of width d behind row `at` of a padded [*, padded] block.
void pack(const Rows &from, int64_t n, int64_t d, float *to, int64_t padded, int64_t at) {
  for (int64_t i = 0; i < n; i++) {
    std::memcpy(to + (at + i) * padded, from.data + i * from.stride, d * sizeof(float));
    std::fill(to + (at + i) * padded + d, to + (at + i + 1) * padded, 0.0f);
  }
}

// [n, padded] → [d, pitch], zeros beyond n.
void transpose(const float *from, int64_t n, int64_t d, int64_t padded, float *to, int64_t pitch) {
  constexpr int64_t kTile = 16;
  for (int64_t i0 = 0; i0 < pitch; i0 += kTile)
    for (int64_t j = 0; j < d; j++)
      for (int64_t i = i0; i < i0 + kTile; i++) to[j * pitch + i] = i < n ? from[i * padded + j] : 0.0f;
}

// What a task keeps while it runs; one a thread, used again by the next task.
struct Workspace {
  std::vector<float> buffers[10];
  float *get(int which, int64_t n) {
    auto &b = buffers[which];
    if (static_cast<int64_t>(b.size()) < n) b.resize(n);
    return b.data();
  }
};

// The packed operands of one query head of one segment.
struct Task {
  int64_t rows, keys, before; // query rows, all keys, keys of the prefix
  int64_t d, padded, pitch;   // head size, rounded up to 16; keys rounded up to 16
  float *q, *k, *kt, *v;      // [rows, padded], [keys, padded], [d, pitch], [keys, padded]

  int64_t visible(int64_t row) const { return before + row + 1; }
};

Task pack_task(Workspace &w, const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, const std::vector<Segment> &segments,
               const Segment &s, int64_t head) {
  const int64_t group = q.size(1) / k.size(1), kv = head / group;
  Task t{};
  t.rows = s.length();
  t.before = s.prefix < 0 ? 0 : segments[s.prefix].length();
  t.keys = t.before + t.rows;
  t.d = q.size(2);
  t.padded = round_up(t.d, kCols);
  t.pitch = round_up(t.keys, kCols);
  t.q = w.get(0, t.rows * t.padded);
  t.k = w.get(1, t.keys * t.padded);
  t.kt = w.get(2, t.d * t.pitch);
  t.v = w.get(3, t.keys * t.padded);
  pack(head_rows(q, s.start, head), t.rows, t.d, t.q, t.padded, 0);
  if (t.before > 0) {
    pack(head_rows(k, segments[s.prefix].start, kv), t.before, t.d, t.k, t.padded, 0);
    pack(head_rows(v, segments[s.prefix].start, kv), t.before, t.d, t.v, t.padded, 0);
  }
  pack(head_rows(k, s.start, kv), t.rows, t.d, t.k, t.padded, t.before);
  pack(head_rows(v, s.start, kv), t.rows, t.d, t.v, t.padded, t.before);
  transpose(t.k, t.keys, t.d, t.padded, t.kt, t.pitch);
  return t;
}

void forward_task(Workspace &w, const Task &t, float scale, float *out, int64_t out_stride, float *lse) {
  float *scores = w.get(4, kBlock * t.pitch), *o = w.get(5, kBlock * t.padded);
  for (int64_t row = 0; row < t.rows; row += kBlock) {
    const int64_t m = std::min(kBlock, t.rows - row), seen = t.visible(row + m - 1), width = round_up(seen, kCols);
    product(t.q + row * t.padded, t.padded, 1, t.kt, t.pitch, scores, t.pitch, m, width, t.d, false);
    for (int64_t i = 0; i < m; i++) lse[row + i] = softmax_row(scores + i * t.pitch, t.visible(row + i), width, scale);
    product(scores, t.pitch, 1, t.v, t.padded, o, t.padded, m, t.padded, seen, false);
    for (int64_t i = 0; i < m; i++) std::memcpy(out + (row + i) * out_stride, o + i * t.padded, t.d * sizeof(float));
  }
}

// dk and dv are [keys, padded] and zero.
void backward_task(Workspace &w, const Task &t, const Rows &grad, const Rows &out, const float *lse, float scale, float *dq, int64_t dq_stride,
                   float *dk, float *dv) {
  float *g = w.get(6, t.rows * t.padded), *vt = w.get(7, t.d * t.pitch);
  float *scores = w.get(4, kBlock * t.pitch), *dp = w.get(8, kBlock * t.pitch), *o = w.get(5, kBlock * t.padded);
  pack(grad, t.rows, t.d, g, t.padded, 0);
  transpose(t.v, t.keys, t.d, t.padded, vt, t.pitch);
  for (int64_t row = 0; row < t.rows; row += kBlock) {
    const int64_t m = std::min(kBlock, t.rows - row), seen = t.visible(row + m - 1), width = round_up(seen, kCols);
    const float *q = t.q + row * t.padded, *gr = g + row * t.padded;
    product(q, t.padded, 1, t.kt, t.pitch, scores, t.pitch, m, width, t.d, false);
    product(gr, t.padded, 1, vt, t.pitch, dp, t.pitch, m, width, t.d, false);
    for (int64_t i = 0; i < m; i++) {
      const float delta = dot(grad.data + (row + i) * grad.stride, out.data + (row + i) * out.stride, t.d);
      backward_row(scores + i * t.pitch, dp + i * t.pitch, t.visible(row + i), width, scale, lse[row + i], delta);
    }
    product(dp, t.pitch, 1, t.k, t.padded, o, t.padded, m, t.padded, seen, false);
    for (int64_t i = 0; i < m; i++) std::memcpy(dq + (row + i) * dq_stride, o + i * t.padded, t.d * sizeof(float));
    product(scores, 1, t.pitch, gr, t.padded, dv, t.padded, seen, t.padded, m, true);
    product(dp, 1, t.pitch, q, t.padded, dk, t.padded, seen, t.padded, m, true);
  }
}

// The segments with rows, the longest first, so that threads that take one at a time end together.
std::vector<int64_t> by_work(const std::vector<Segment> &segments) {
  std::vector<int64_t> order;
  for (size_t i = 0; i < segments.size(); i++)
    if (segments[i].length() > 0) order.push_back(static_cast<int64_t>(i));
  auto work = [&](int64_t i) {
    const auto &s = segments[i];
    return s.length() * (s.length() + 2 * (s.prefix < 0 ? 0 : segments[s.prefix].length()));
  };
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return work(a) > work(b); });
  return order;
}

// Runs f(segment, head, workspace) for all of them, each thread taking the next when it is free.
template <class F> void each_task(const std::vector<Segment> &segments, int64_t heads, F f) {
  const auto order = by_work(segments);
  const int64_t tasks = static_cast<int64_t>(order.size()) * heads;
  std::exception_ptr failed;
#pragma omp parallel num_threads(at::get_num_threads())
  {
    Workspace w;
#pragma omp for schedule(dynamic)
    for (int64_t i = 0; i < tasks; i++) {
      try {
        f(order[i / heads], i % heads, w);
      } catch (...) { // an exception must not leave the parallel region
#pragma omp critical
        failed = std::current_exception();
      }
    }
  }
  if (failed) std::rethrow_exception(failed);
}

} // namespace

void attend_cpu(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, const std::vector<Segment> &segments, float scale,
                at::Tensor &out, at::Tensor &lse) {
  const int64_t heads = q.size(1), n = q.size(0), d = q.size(2);
  float *od = out.data_ptr<float>(), *ld = lse.data_ptr<float>();
  each_task(segments, heads, [&](int64_t index, int64_t head, Workspace &w) {
    const Segment &s = segments[index];
    forward_task(w, pack_task(w, q, k, v, segments, s, head), scale, od + (s.start * heads + head) * d, heads * d, ld + head * n + s.start);
  });
}

void attend_backward_cpu(const at::Tensor &grad, const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, const at::Tensor &out,
                         const at::Tensor &lse, const std::vector<Segment> &segments, float scale, at::Tensor &dq, at::Tensor &dk,
                         at::Tensor &dv) {
  const int64_t heads = q.size(1), kv = k.size(1), group = heads / kv, n = q.size(0), d = q.size(2), padded = round_up(d, kCols);
  // Where each task leaves its dk and dv. Several tasks share a key: the heads of a group, and all who see a prefix.
  std::vector<int64_t> offset(segments.size() + 1, 0);
  for (size_t i = 0; i < segments.size(); i++) {
    const auto &s = segments[i];
    const int64_t keys = s.length() + (s.prefix < 0 ? 0 : segments[s.prefix].length());
    offset[i + 1] = offset[i] + (s.length() > 0 ? keys : 0) * heads * padded;
  }
  auto parts = at::zeros({2, std::max<int64_t>(1, offset.back())}, q.options());
  float *pk = parts.data_ptr<float>(), *pv = pk + parts.size(1);
  float *dqd = dq.data_ptr<float>(), *dkd = dk.data_ptr<float>(), *dvd = dv.data_ptr<float>();
  const float *ld = lse.data_ptr<float>();
  each_task(segments, heads, [&](int64_t index, int64_t head, Workspace &w) {
    const Segment &s = segments[index];
    const Task t = pack_task(w, q, k, v, segments, s, head);
    const int64_t at = offset[index] + head * t.keys * padded;
    backward_task(w, t, head_rows(grad, s.start, head), head_rows(out, s.start, head), ld + head * n + s.start, scale,
                  dqd + (s.start * heads + head) * d, heads * d, pk + at, pv + at);
  });
  // In the order of segments and heads, whatever thread made the parts.
  at::parallel_for(0, kv, 1, [&](int64_t b, int64_t e) {
    for (; b < e; b++)
      for (size_t i = 0; i < segments.size(); i++) {
        const auto &s = segments[i];
        if (s.length() == 0) continue;
        const int64_t before = s.prefix < 0 ? 0 : segments[s.prefix].length(), keys = before + s.length();
        for (int64_t h = b * group; h < (b + 1) * group; h++)
          for (int64_t j = 0; j < keys; j++) {
            const int64_t token = j < before ? segments[s.prefix].start + j : s.start + j - before;
            const int64_t from = offset[i] + (h * keys + j) * padded, to = (token * kv + b) * d;
            add_scaled(dkd + to, pk + from, 1, d);
            add_scaled(dvd + to, pv + from, 1, d);
          }
      }
  });
}

void attend_cache_cpu(const at::Tensor &q, const at::Tensor &kcache, const at::Tensor &vcache, int64_t keys, float scale, at::Tensor &out) {
  const int64_t rows = q.size(0), heads = q.size(1), d = q.size(2), group = heads / kcache.size(1), padded = round_up(d, kCols);
  float *od = out.data_ptr<float>();
  const std::vector<Segment> one{{0, rows, -1}};
  each_task(one, heads, [&](int64_t, int64_t head, Workspace &w) {
    const Rows qr = head_rows(q, 0, head), kr = head_rows(kcache, 0, head / group), vr = head_rows(vcache, 0, head / group);
    float *to = od + head * d;
    if (rows > 2) {
      Task t{rows, keys, keys - rows, d, padded, round_up(keys, kCols), w.get(0, rows * padded), w.get(1, keys * padded),
             w.get(2, d * round_up(keys, kCols)), w.get(3, keys * padded)};
      pack(qr, rows, d, t.q, padded, 0);
      pack(kr, keys, d, t.k, padded, 0);
      pack(vr, keys, d, t.v, padded, 0);
      transpose(t.k, keys, d, padded, t.kt, t.pitch);
      forward_task(w, t, scale, to, heads * d, w.get(9, rows));
      return;
    }
    float *scores = w.get(4, keys); // a row or two: packing would cost more than it saves
    for (int64_t i = 0; i < rows; i++) {
      const int64_t seen = keys - rows + i + 1;
      for (int64_t j = 0; j < seen; j++) scores[j] = dot(qr.data + i * qr.stride, kr.data + j * kr.stride, d);
      softmax_row(scores, seen, seen, scale);
      float *o = to + i * heads * d;
      std::fill(o, o + d, 0.0f);
      for (int64_t j = 0; j < seen; j++) add_scaled(o, vr.data + j * vr.stride, scores[j], d);
    }
  });
}

} // namespace ft
