// The output head and the cross entropy in one piece: the [N, vocab] logits never exist.
//
// Rows are taken in chunks. A chunk's logits are turned into their own gradient in place (softmax − one-hot) while they are at
// hand, so the forward pass already leaves dhidden (and dweight), and the backward pass multiplies by one number.
#include "kernels.hpp"

#include <ATen/core/grad_mode.h>

using namespace ft;
using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

FT_LOOP float row_max(const float *x, int64_t n) {
  float m = x[0];
#pragma omp simd reduction(max : m)
  for (int64_t i = 0; i < n; i++) m = x[i] > m ? x[i] : m;
  return m;
}

FT_LOOP float row_exp(float *x, float max, int64_t n) { // x becomes e^(x−max); returns the sum
  float s = 0;
#pragma omp simd reduction(+ : s)
  for (int64_t i = 0; i < n; i++) {
    float e = exp_(x[i] - max);
    x[i] = e;
    s += e;
  }
  return s;
}

FT_LOOP float row_exp_sum(const float *x, float max, int64_t n) {
  float s = 0;
#pragma omp simd reduction(+ : s)
  for (int64_t i = 0; i < n; i++) s += exp_(x[i] - max);
  return s;
}

FT_LOOP void row_scale(float *x, float f, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; i++) x[i] *= f;
}

// Loss of each row of logits [c, V]; with gradient, logits becomes softmax − one-hot.
void rows_fast(Tensor &logits, const int64_t *labels, double *loss, bool gradient) {
  const int64_t v = logits.size(1);
  float *d = logits.data_ptr<float>();
  at::parallel_for(0, logits.size(0), 1, [&](int64_t b, int64_t e) {
    for (; b < e; b++) {
      float *x = d + b * v;
      const float max = row_max(x, v), own = x[labels[b]];
      const float sum = gradient ? row_exp(x, max, v) : row_exp_sum(x, max, v);
      loss[b] = static_cast<double>(max) + std::log(static_cast<double>(sum)) - own;
      if (!gradient) continue;
      row_scale(x, 1.0f / sum, v);
      x[labels[b]] -= 1.0f;
    }
  });
}

struct CrossEntropy : torch::autograd::Function<CrossEntropy> {
  static Tensor forward(AutogradContext *ctx, const Tensor &hidden, const Tensor &weight, const Tensor &labels, int64_t chunk_bytes,
                        bool need_hidden, bool need_weight) {
    TORCH_CHECK(hidden.dim() == 2 && weight.dim() == 2 && hidden.size(1) == weight.size(1) && labels.dim() == 1 &&
                    labels.size(0) == hidden.size(0),
                "hidden ", hidden.sizes(), ", weight ", weight.sizes(), ", labels ", labels.sizes());
    const int64_t rows = hidden.size(0), v = weight.size(0);
    if (rows > 0) {
      const int64_t low = labels.min().item<int64_t>(), high = labels.max().item<int64_t>();
      TORCH_CHECK(low >= 0 && high < v, "labels from ", low, " to ", high, " for a vocabulary of ", v);
    }
    auto acc = accumulate_type(hidden);
    const int64_t chunk = std::min(rows, std::max<int64_t>(32, chunk_bytes / (v * static_cast<int64_t>(at::elementSize(acc)))));
    const bool gradient = need_hidden || need_weight;
    auto h = hidden.contiguous();
    auto dhidden = need_hidden ? at::empty_like(h) : Tensor();
    auto dweight = need_weight ? at::zeros_like(weight) : Tensor();
    auto buffer = at::empty({chunk, v}, h.options());
    double total = 0;
    for (int64_t at = 0; at < rows; at += chunk) {
      const int64_t c = std::min(chunk, rows - at);
      auto part = h.narrow(0, at, c), y = labels.narrow(0, at, c);
      auto logits = buffer.narrow(0, 0, c);
      at::mm_out(logits, part, weight.t());
      if (fast(logits)) {
        std::vector<double> loss(c);
        rows_fast(logits, y.contiguous().data_ptr<int64_t>(), loss.data(), gradient);
        for (double l : loss) total += l;
      } else {
        auto logp = at::log_softmax(logits.to(acc), 1);
        auto own = y.unsqueeze(1);
        total -= logp.gather(1, own).to(at::kDouble).sum().item<double>();
        if (gradient) {
          auto d = logp.exp_();
          d.scatter_add_(1, own, at::full_like(own, -1, d.options()));
          logits.copy_(d);
        }
      }
      if (need_hidden) {
        auto out = dhidden.narrow(0, at, c);
        at::mm_out(out, logits, weight);
      }
      if (need_weight) dweight.addmm_(logits.t(), part);
    }
    ctx->save_for_backward({dhidden, dweight});
    return at::scalar_tensor(total, h.options().dtype(acc));
  }

  static variable_list backward(AutogradContext *ctx, variable_list grads) {
    auto saved = ctx->get_saved_variables();
    const double g = grads[0].item<double>();
    Tensor dhidden = saved[0].defined() ? saved[0] * g : Tensor(), dweight = saved[1].defined() ? saved[1] * g : Tensor();
    return {dhidden, dweight, Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

} // namespace

ft_tensor ft_cross_entropy(ft_tensor hidden, ft_tensor weight, ft_tensor labels, int64_t chunk_bytes) {
  return tensor_or_error([&] {
    const auto &h = ref(hidden), &w = ref(weight);
    const bool on = at::GradMode::is_enabled();
    return CrossEntropy::apply(h, w, ref(labels), chunk_bytes, on && h.requires_grad(), on && w.requires_grad());
  });
}
