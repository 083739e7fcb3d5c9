// Rotary position embedding (Su et al. 2021). x is [N, heads, D]; cos and sin are [N, R/2] with R <= D: the first R features turn,
// the others pass. Llama pairs feature i with i + R/2; GLM and GPT-J pair 2i with 2i+1 (interleaved).
#include "kernels.hpp"

using namespace ft;
using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

// sign −1 turns back: the backward pass of a rotation is the inverse rotation.
FT_LOOP void rotate_head(const float *x, const float *c, const float *s, float sign, float *y, int64_t half, int64_t width,
                         bool interleaved) {
  if (interleaved) {
    for (int64_t i = 0; i < half; i++) {
      float a = x[2 * i], b = x[2 * i + 1], si = sign * s[i];
      y[2 * i] = a * c[i] - b * si;
      y[2 * i + 1] = b * c[i] + a * si;
    }
  } else {
#pragma omp simd
    for (int64_t i = 0; i < half; i++) {
      float a = x[i], b = x[i + half], si = sign * s[i];
      y[i] = a * c[i] - b * si;
      y[i + half] = b * c[i] + a * si;
    }
  }
  for (int64_t i = 2 * half; i < width; i++) y[i] = x[i];
}

Tensor rotate(const Tensor &input, const Tensor &cos, const Tensor &sin, float sign, bool interleaved) {
  TORCH_CHECK(input.dim() == 3 && cos.dim() == 2 && cos.sizes() == sin.sizes() && cos.size(0) == input.size(0) &&
                  2 * cos.size(1) <= input.size(2),
              "x ", input.sizes(), ", cos ", cos.sizes(), ", sin ", sin.sizes());
  const int64_t n = input.size(0), heads = input.size(1), width = input.size(2), half = cos.size(1);
  if (fast(input) && fast(cos)) {
    auto x = input.contiguous(), c = cos.contiguous(), s = sin.contiguous();
    auto y = at::empty_like(x);
    const float *xd = x.data_ptr<float>(), *cd = c.data_ptr<float>(), *sd = s.data_ptr<float>();
    float *yd = y.data_ptr<float>();
    at::parallel_for(0, n, grain(heads * width), [&](int64_t b, int64_t e) {
      for (; b < e; b++)
        for (int64_t h = 0; h < heads; h++) {
          int64_t at = (b * heads + h) * width;
          rotate_head(xd + at, cd + b * half, sd + b * half, sign, yd + at, half, width, interleaved);
        }
    });
    return y;
  }
  // transformers rounds cos and sin to the type of x and multiplies in it.
  auto c = cos.to(input.scalar_type()).unsqueeze(1), s = sin.to(input.scalar_type()).unsqueeze(1) * sign;
  auto turned = input.narrow(2, 0, 2 * half), rest = input.narrow(2, 2 * half, width - 2 * half);
  Tensor y;
  if (interleaved) {
    auto pairs = turned.reshape({n, heads, half, 2});
    auto a = pairs.select(3, 0), b = pairs.select(3, 1);
    y = at::stack({a * c - b * s, b * c + a * s}, 3).reshape({n, heads, 2 * half});
  } else {
    auto a = turned.narrow(2, 0, half), b = turned.narrow(2, half, half);
    y = at::cat({a * c - b * s, b * c + a * s}, 2);
  }
  return rest.size(2) ? at::cat({y, rest}, 2) : y;
}

struct Rope : torch::autograd::Function<Rope> {
  static Tensor forward(AutogradContext *ctx, const Tensor &x, const Tensor &cos, const Tensor &sin, bool interleaved) {
    ctx->save_for_backward({cos, sin});
    ctx->saved_data["interleaved"] = interleaved;
    return rotate(x, cos, sin, 1, interleaved);
  }
  static variable_list backward(AutogradContext *ctx, variable_list grads) {
    auto saved = ctx->get_saved_variables();
    auto dx = rotate(grads[0], saved[0], saved[1], -1, ctx->saved_data["interleaved"].toBool());
    return {dx, Tensor(), Tensor(), Tensor()};
  }
};

} // namespace

ft_tensor ft_rope(ft_tensor x, ft_tensor cos, ft_tensor sin, int interleaved) {
  return tensor_or_error([&] { return Rope::apply(ref(x), ref(cos), ref(sin), interleaved != 0); });
}
