// AdamW over all parameters in one pass each, and the gradient norm.
#include "kernels.hpp"

using namespace ft;

namespace {

// Loshchilov & Hutter 2019 in the order of torch.optim.AdamW: decay, moments, bias-corrected step. rest is 1−beta, taken in float64.
FT_LOOP void adamw_range(float *p, const float *g, float *m, float *v, int64_t n, float clip, float decay, float rest1, float beta2,
                         float rest2, float step_size, float root_bias2, float eps) {
  for (int64_t i = 0; i < n; i++) {
    float gi = g[i] * clip;
    float mi = m[i] + (gi - m[i]) * rest1;
    float vi = v[i] * beta2 + gi * gi * rest2;
    m[i] = mi;
    v[i] = vi;
    p[i] = p[i] * decay - step_size * mi / (std::sqrt(vi) / root_bias2 + eps);
  }
}

// In float64: the squares of a large model's small gradients would be lost in a float32 sum.
FT_LOOP double squares_range(const float *x, int64_t n) {
  double s = 0;
#pragma omp simd reduction(+ : s)
  for (int64_t i = 0; i < n; i++) s += static_cast<double>(x[i]) * x[i];
  return s;
}

// A fixed block per partial sum makes the result independent of the number of threads.
double squares(const at::Tensor &t) {
  const int64_t block = 1 << 16, n = t.numel(), blocks = (n + block - 1) / block;
  std::vector<double> part(blocks);
  const float *x = t.data_ptr<float>();
  at::parallel_for(0, blocks, 1, [&](int64_t b, int64_t e) {
    for (; b < e; b++) part[b] = squares_range(x + b * block, std::min(block, n - b * block));
  });
  double s = 0;
  for (double p : part) s += p;
  return s;
}

void adamw_fast(at::Tensor &p, const at::Tensor &g, at::Tensor &m, at::Tensor &v, double decay, const ft_adamw_t &o, double step_size,
                double root_bias2) {
  float *pd = p.data_ptr<float>(), *md = m.data_ptr<float>(), *vd = v.data_ptr<float>();
  const float *gd = g.data_ptr<float>();
  at::parallel_for(0, p.numel(), 16384, [&](int64_t b, int64_t e) {
    adamw_range(pd + b, gd + b, md + b, vd + b, e - b, float(o.clip), float(decay), float(1 - o.beta1), float(o.beta2),
                float(1 - o.beta2), float(step_size), float(root_bias2), float(o.eps));
  });
}

void adamw_any(at::Tensor &p, const at::Tensor &g, at::Tensor &m, at::Tensor &v, double decay, const ft_adamw_t &o, double step_size,
               double root_bias2) {
  auto gi = g.to(m.scalar_type()) * o.clip;
  m.lerp_(gi, 1 - o.beta1);
  v.mul_(o.beta2).addcmul_(gi, gi, 1 - o.beta2);
  p.mul_(decay).addcdiv_(m, v.sqrt().div_(root_bias2).add_(o.eps), -step_size);
}

} // namespace

int ft_adamw(ft_tensor *params, ft_tensor *grads, ft_tensor *m, ft_tensor *v, const double *weight_decay, int n, const ft_adamw_t *o) {
  return done_or_error([&] {
    at::NoGradGuard no_grad;
    const double bias1 = 1 - std::pow(o->beta1, o->step), bias2 = 1 - std::pow(o->beta2, o->step);
    for (int i = 0; i < n; i++) {
      auto p = ref(params[i]).detach();
      auto g = ref(grads[i]).contiguous();
      TORCH_CHECK(p.sizes() == g.sizes(), "parameter ", p.sizes(), ", gradient ", g.sizes());
      bool quick = fast(p) && fast(g) && p.is_contiguous();
      (quick ? adamw_fast : adamw_any)(p, g, ref(m[i]), ref(v[i]), 1 - o->lr * weight_decay[i], *o, o->lr / bias1, std::sqrt(bias2));
    }
  });
}

int ft_norm(ft_tensor *tensors, int n, double *norm) {
  return done_or_error([&] {
    at::NoGradGuard no_grad;
    double sum = 0;
    for (int i = 0; i < n; i++) {
      auto t = ref(tensors[i]).detach();
      sum += fast(t) ? squares(t.contiguous()) : t.to(at::kDouble).square().sum().item<double>();
    }
    *norm = std::sqrt(sum);
  });
}
