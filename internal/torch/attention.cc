// Causal attention over a ragged batch: q is [N, A, D], k and v are [N, K, D] with A a multiple of K, and every segment of the
// token axis attends to itself and to the segment named as its prefix. There is no padding and no mask tensor.
//
// float32 on the CPU is our own kernel (attention_cpu.cc). For other types and devices the work is libtorch's flash attention, one
// call a segment. A segment with a prefix is two calls whose results are joined by their log-sum-exp; the flash backward pass, given
// the joined output and log-sum-exp, yields each part's exact gradient.
#include "attention.hpp"

#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>

using namespace ft;
using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

std::vector<Segment> segments_of(const int64_t *flat, int64_t n, int64_t tokens) {
  std::vector<Segment> s(n);
  for (int64_t i = 0; i < n; i++) {
    s[i] = {flat[3 * i], flat[3 * i + 1], flat[3 * i + 2]};
    TORCH_CHECK(0 <= s[i].start && s[i].start <= s[i].end && s[i].end <= tokens, "segment ", i, " is ", s[i].start, " to ", s[i].end,
                " of ", tokens, " tokens");
    TORCH_CHECK(-1 <= s[i].prefix && s[i].prefix < i && (s[i].prefix < 0 || s[s[i].prefix].prefix < 0), "segment ", i, " has prefix ",
                s[i].prefix, "; want -1 or an earlier segment that has none itself");
  }
  return s;
}

Tensor heads_first(const Tensor &t, int64_t start, int64_t end) { // [N, A, D] → [1, A, L, D], a view
  return t.narrow(0, start, end - start).transpose(0, 1).unsqueeze(0);
}

struct Part { // one flash call: [1, A, L, D] and the log-sum-exp of its scores [1, A, L]
  Tensor out, lse;
};

Part attend(const Tensor &q, const Tensor &k, const Tensor &v, bool causal, double scale) {
  if (q.is_cpu()) {
    auto r = at::_scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, causal, c10::nullopt, scale);
    return {std::get<0>(r), std::get<1>(r)};
  }
  // Not yet run on a GPU: the plain formula.
  const int64_t repeat = q.size(1) / k.size(1);
  auto kr = k.repeat_interleave(repeat, 1), vr = v.repeat_interleave(repeat, 1);
  auto scores = at::matmul(q, kr.transpose(2, 3)).to(accumulate_type(q)) * scale;
  if (causal) scores = scores.masked_fill(at::ones({q.size(2), k.size(2)}, q.options().dtype(at::kBool)).triu(1), -INFINITY);
  auto lse = scores.logsumexp(-1);
  return {at::matmul((scores - lse.unsqueeze(-1)).exp().to(v.scalar_type()), vr), lse};
}

std::tuple<Tensor, Tensor, Tensor> attend_backward(const Tensor &grad, const Tensor &q, const Tensor &k, const Tensor &v, const Part &p,
                                                   bool causal, double scale) {
  if (q.is_cpu())
    return at::_scaled_dot_product_flash_attention_for_cpu_backward(grad, q, k, v, p.out, p.lse, 0.0, causal, c10::nullopt, scale);
  const int64_t repeat = q.size(1) / k.size(1);
  auto acc = accumulate_type(q);
  auto kr = k.repeat_interleave(repeat, 1).to(acc), vr = v.repeat_interleave(repeat, 1).to(acc), qa = q.to(acc), ga = grad.to(acc);
  auto scores = at::matmul(qa, kr.transpose(2, 3)) * scale;
  if (causal) scores = scores.masked_fill(at::ones({q.size(2), k.size(2)}, q.options().dtype(at::kBool)).triu(1), -INFINITY);
  auto prob = (scores - p.lse.unsqueeze(-1)).exp();
  auto ds = prob * (at::matmul(ga, vr.transpose(2, 3)) - (ga * p.out.to(acc)).sum(-1, true)) * scale;
  auto fold = [&](const Tensor &t) { return t.reshape({1, k.size(1), repeat, k.size(2), k.size(3)}).sum(2).to(k.scalar_type()); };
  return {at::matmul(ds, kr).to(q.scalar_type()), fold(at::matmul(ds.transpose(2, 3), qa)), fold(at::matmul(prob.transpose(2, 3), ga))};
}

// softmax over the union of two key sets, from the softmax over each
Part join(const Part &a, const Part &b) {
  auto lse = at::logaddexp(a.lse, b.lse);
  auto wa = (a.lse - lse).exp().unsqueeze(-1), wb = (b.lse - lse).exp().unsqueeze(-1);
  return {(a.out * wa + b.out * wb).to(a.out.scalar_type()), lse};
}

struct Attention : torch::autograd::Function<Attention> {
  static Tensor forward(AutogradContext *ctx, const Tensor &q, const Tensor &k, const Tensor &v, std::vector<int64_t> flat, double scale) {
    TORCH_CHECK(q.dim() == 3 && k.dim() == 3 && v.dim() == 3 && q.size(0) == k.size(0) && k.size(0) == v.size(0) &&
                    k.size(1) == v.size(1) && q.size(2) == k.size(2) && q.size(1) % k.size(1) == 0,
                "q ", q.sizes(), ", k ", k.sizes(), ", v ", v.sizes());
    auto segs = segments_of(flat.data(), static_cast<int64_t>(flat.size() / 3), q.size(0));
    auto out = at::empty_like(q, at::MemoryFormat::Contiguous);
    auto lse = at::empty({q.size(1), q.size(0)}, q.options().dtype(accumulate_type(q)));
    if (fast(q) && fast(k) && fast(v)) {
      auto qc = q.contiguous(), kc = k.contiguous(), vc = v.contiguous();
      attend_cpu(qc, kc, vc, segs, static_cast<float>(scale), out, lse);
      ctx->save_for_backward({qc, kc, vc, out, lse});
      ctx->saved_data["segments"] = std::move(flat);
      ctx->saved_data["scale"] = scale;
      return out;
    }
    for (const auto &s : segs) {
      if (s.start == s.end) continue;
      auto qs = heads_first(q, s.start, s.end);
      auto p = attend(qs, heads_first(k, s.start, s.end), heads_first(v, s.start, s.end), true, scale);
      if (s.prefix >= 0 && segs[s.prefix].start < segs[s.prefix].end) {
        const auto &pre = segs[s.prefix];
        p = join(attend(qs, heads_first(k, pre.start, pre.end), heads_first(v, pre.start, pre.end), false, scale), p);
      }
      heads_first(out, s.start, s.end).copy_(p.out);
      lse.narrow(1, s.start, s.end - s.start).copy_(p.lse.squeeze(0));
    }
    ctx->save_for_backward({q, k, v, out, lse});
    ctx->saved_data["segments"] = std::move(flat);
    ctx->saved_data["scale"] = scale;
    return out;
  }

  static variable_list backward(AutogradContext *ctx, variable_list grads) {
    auto saved = ctx->get_saved_variables();
    auto &q = saved[0], &k = saved[1], &v = saved[2], &out = saved[3], &lse = saved[4];
    auto flat = ctx->saved_data["segments"].toIntVector();
    const double scale = ctx->saved_data["scale"].toDouble();
    auto segs = segments_of(flat.data(), static_cast<int64_t>(flat.size() / 3), q.size(0));
    auto g = grads[0].contiguous();
    auto dq = at::zeros_like(q, at::MemoryFormat::Contiguous), dk = at::zeros_like(k, at::MemoryFormat::Contiguous),
         dv = at::zeros_like(v, at::MemoryFormat::Contiguous);
    if (fast(q) && fast(k) && fast(v) && fast(g)) {
      attend_backward_cpu(g, q, k, v, out, lse, segs, static_cast<float>(scale), dq, dk, dv);
      return {dq, dk, dv, Tensor(), Tensor()};
    }
    for (const auto &s : segs) {
      if (s.start == s.end) continue;
      auto qs = heads_first(q, s.start, s.end), gs = heads_first(g, s.start, s.end);
      Part p{heads_first(out, s.start, s.end), lse.narrow(1, s.start, s.end - s.start).unsqueeze(0)};
      auto add = [&](const Segment &keys, bool causal) {
        auto d = attend_backward(gs, qs, heads_first(k, keys.start, keys.end), heads_first(v, keys.start, keys.end), p, causal, scale);
        heads_first(dq, s.start, s.end).add_(std::get<0>(d));
        heads_first(dk, keys.start, keys.end).add_(std::get<1>(d));
        heads_first(dv, keys.start, keys.end).add_(std::get<2>(d));
      };
      add(s, true);
      if (s.prefix >= 0 && segs[s.prefix].start < segs[s.prefix].end) add(segs[s.prefix], false);
    }
    return {dq, dk, dv, Tensor(), Tensor()};
  }
};

} // namespace

ft_tensor ft_attention(ft_tensor q, ft_tensor k, ft_tensor v, const int64_t *segments, int n, double scale) {
  return tensor_or_error([&] {
    std::vector<int64_t> flat(segments, segments + 3 * static_cast<int64_t>(n));
    return Attention::apply(ref(q), ref(k), ref(v), flat, scale);
  });
}

ft_tensor ft_attention_cached(ft_tensor q, ft_tensor k, ft_tensor v, ft_tensor kcache, ft_tensor vcache, const int64_t *segments, int n,
                              const int64_t *past, double scale) {
  return tensor_or_error([&] {
    at::NoGradGuard no_grad;
    const auto &qt = ref(q), &kt = ref(k), &vt = ref(v);
    auto out = at::empty_like(qt, at::MemoryFormat::Contiguous);
    for (int i = 0; i < n; i++) {
      const int64_t start = segments[3 * i], end = segments[3 * i + 1], slot = segments[3 * i + 2], len = end - start, before = past[i];
      auto kc = ref(kcache).select(0, slot), vc = ref(vcache).select(0, slot); // [capacity, K, D]
      TORCH_CHECK(before + len <= kc.size(0), "sequence ", i, " needs ", before + len, " places in a cache of ", kc.size(0));
      kc.narrow(0, before, len).copy_(kt.narrow(0, start, len));
      vc.narrow(0, before, len).copy_(vt.narrow(0, start, len));
      if (fast(qt)) {
        auto rows = out.narrow(0, start, len);
        attend_cache_cpu(qt.narrow(0, start, len).contiguous(), kc, vc, before + len, static_cast<float>(scale), rows);
        continue;
      }
      auto qs = heads_first(qt, start, end);
      Part p;
      if (len == 1) { // one query sees every key: nothing to mask
        p = attend(qs, heads_first(kc, 0, before + 1), heads_first(vc, 0, before + 1), false, scale);
      } else {
        p = attend(qs, heads_first(kc, before, before + len), heads_first(vc, before, before + len), true, scale);
        if (before > 0) p = join(attend(qs, heads_first(kc, 0, before), heads_first(vc, 0, before), false, scale), p);
      }
      heads_first(out, start, end).copy_(p.out);
    }
    return out;
  });
}
