// RMSNorm (Zhang & Sennrich 2019) as transformers' LlamaRMSNorm and Gemma's variant (weight + 1) compute it.
//
//   y = w ⊙ x / sqrt(mean(x²) + eps)
//
// The backward pass needs x, w and one number a row; the normalised rows are not stored.
#include "kernels.hpp"

using namespace ft;
using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

FT_LOOP void forward_row(const float *x, const float *w, float offset, float *y, float *rstd, float eps, int64_t h) {
  float s = 0;
#pragma omp simd reduction(+ : s)
  for (int64_t i = 0; i < h; i++) s += x[i] * x[i];
  float r = 1.0f / std::sqrt(s / h + eps);
  *rstd = r;
#pragma omp simd
  for (int64_t i = 0; i < h; i++) y[i] = (w[i] + offset) * (x[i] * r);
}

// dx = r·(g⊙w − x̂·mean(g⊙w⊙x̂)), x̂ = r·x
FT_LOOP void backward_row(const float *x, const float *w, float offset, const float *g, float r, float *dx, int64_t h) {
  float s = 0;
#pragma omp simd reduction(+ : s)
  for (int64_t i = 0; i < h; i++) s += g[i] * (w[i] + offset) * x[i];
  s = s * r * r / h;
#pragma omp simd
  for (int64_t i = 0; i < h; i++) dx[i] = r * (g[i] * (w[i] + offset) - x[i] * s);
}

struct RMSNorm : torch::autograd::Function<RMSNorm> {
  static Tensor forward(AutogradContext *ctx, const Tensor &input, const Tensor &weight, double eps, bool unit_offset) {
    auto x = input.contiguous();
    const int64_t h = x.size(-1), rows = x.numel() / std::max<int64_t>(h, 1);
    TORCH_CHECK(weight.dim() == 1 && weight.size(0) == h, "weight ", weight.sizes(), " for rows of ", h);
    Tensor y, rstd;
    if (fast(x) && fast(weight)) {
      y = at::empty_like(x);
      rstd = at::empty({rows}, x.options());
      const float *xd = x.data_ptr<float>(), *wd = weight.data_ptr<float>();
      float *yd = y.data_ptr<float>(), *rd = rstd.data_ptr<float>();
      at::parallel_for(0, rows, grain(h), [&](int64_t b, int64_t e) {
        for (; b < e; b++) forward_row(xd + b * h, wd, unit_offset, yd + b * h, rd + b, float(eps), h);
      });
    } else {
      auto xf = x.to(accumulate_type(x));
      auto r = (xf.square().mean(-1, true) + eps).rsqrt();
      rstd = r.reshape({rows});
      // Llama rounds the normalised rows to the input type before the weight, Gemma after it.
      y = unit_offset ? ((xf * r) * (weight.to(xf.scalar_type()) + 1)).to(x.scalar_type()) : weight * (xf * r).to(x.scalar_type());
    }
    ctx->save_for_backward({x, weight, rstd});
    ctx->saved_data["unit_offset"] = unit_offset;
    return y;
  }

  static variable_list backward(AutogradContext *ctx, variable_list grads) {
    auto saved = ctx->get_saved_variables();
    auto &x = saved[0], &weight = saved[1], &rstd = saved[2];
    auto g = grads[0].contiguous();
    const float offset = ctx->saved_data["unit_offset"].toBool() ? 1 : 0;
    const int64_t h = x.size(-1), rows = rstd.numel();
    Tensor dx, dw;
    if (ctx->needs_input_grad(1)) {
      auto acc = accumulate_type(x);
      auto normed = x.to(acc).reshape({rows, h}) * rstd.unsqueeze(-1);
      dw = (g.to(acc).reshape({rows, h}) * normed).sum(0).to(weight.scalar_type());
    }
    if (!ctx->needs_input_grad(0)) return {dx, dw, Tensor(), Tensor()};
    if (fast(x) && fast(weight) && fast(g)) {
      dx = at::empty_like(x);
      const float *xd = x.data_ptr<float>(), *wd = weight.data_ptr<float>(), *gd = g.data_ptr<float>(), *rd = rstd.data_ptr<float>();
      float *dxd = dx.data_ptr<float>();
      at::parallel_for(0, rows, grain(h), [&](int64_t b, int64_t e) {
        for (; b < e; b++) backward_row(xd + b * h, wd, offset, gd + b * h, rd[b], dxd + b * h, h);
      });
    } else {
      auto acc = accumulate_type(x);
      auto shape = x.sizes().vec();
      shape.back() = 1;
      auto r = rstd.reshape(shape);
      auto gw = g.to(acc) * (weight.to(acc) + offset), normed = x.to(acc) * r;
      dx = (r * (gw - normed * (gw * normed).mean(-1, true))).to(x.scalar_type());
    }
    return {dx, dw, Tensor(), Tensor()};
  }
};

} // namespace

ft_tensor ft_rms_norm(ft_tensor x, ft_tensor weight, double eps, int unit_offset) {
  return tensor_or_error([&] { return RMSNorm::apply(ref(x), ref(weight), eps, unit_offset != 0); });
}
