// The output head and the cross entropy in one piece: the [N, vocab] logits never exist.
//
// Rows are taken in chunks. A chunk's logits are turned into their own gradient in place (softmax − one-hot) while they are at hand.
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

FT_LOOP void row_cap(float *x, float cap, float *bend, int64_t n) { // x becomes cap·tanh(x/cap); bend, unless null, its derivative
  const float inverse = 1.0f / cap;
#pragma omp simd
  for (int64_t i = 0; i < n; i++) x[i] = tanh_(x[i] * inverse);
  if (bend) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) bend[i] = 1.0f - x[i] * x[i];
  }
  row_scale(x, cap, n);
}

FT_LOOP void row_multiply(float *x, const float *y, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; i++) x[i] *= y[i];
}

// Loss of each row of logits [c, V]; with gradient, logits becomes the gradient: softmax − one-hot, times the cap's derivative.
void rows_fast(Tensor &logits, const int64_t *labels, double cap, double *loss, bool gradient) {
  const int64_t v = logits.size(1);
  float *d = logits.data_ptr<float>();
  at::parallel_for(0, logits.size(0), 1, [&](int64_t b, int64_t e) {
    std::vector<float> bend(cap > 0 && gradient ? v : 0);
    for (; b < e; b++) {
      float *x = d + b * v;
      if (cap > 0) row_cap(x, static_cast<float>(cap), gradient ? bend.data() : nullptr, v);
      const float max = row_max(x, v), own = x[labels[b]];
      const float sum = gradient ? row_exp(x, max, v) : row_exp_sum(x, max, v);
      loss[b] = static_cast<double>(max) + std::log(static_cast<double>(sum)) - own;
      if (!gradient) continue;
      row_scale(x, 1.0f / sum, v);
      x[labels[b]] -= 1.0f;
      if (cap > 0) row_multiply(x, bend.data(), v);
    }
  });
}

// rows_fast for any type and device.
void rows_any(Tensor &logits, const Tensor &labels, double cap, at::ScalarType acc, double *loss, bool gradient) {
  auto z = logits.to(acc);
  Tensor bend;
  if (cap > 0) {
    auto t = (z / cap).tanh();
    bend = 1 - t * t;
    z = t * cap;
  }
  auto logp = at::log_softmax(z, 1);
  auto own = labels.unsqueeze(1);
  auto values = logp.gather(1, own).squeeze(1).neg().to(at::kCPU, at::kDouble).contiguous();
  std::memcpy(loss, values.data_ptr<double>(), values.numel() * sizeof(double));
  if (!gradient) return;
  auto d = logp.exp_();
  d.scatter_add_(1, own, at::full_like(own, -1, d.options()));
  logits.copy_(bend.defined() ? d * bend : d);
}

struct Needs { // which gradients are wanted
  bool hidden, weight, bias, tail;
  bool any() const { return hidden || weight || bias || tail; }
  bool head() const { return weight || bias || tail; }
};

struct Head { // what hidden states are multiplied with
  Tensor weight, bias, tail;
  double cap;
  int64_t chunk_bytes;
};

struct Gradients {
  Tensor hidden, weight, bias, tail;
};

void check_head(const Tensor &hidden, const Head &head, const Tensor &labels) {
  const Tensor &weight = head.weight, &bias = head.bias;
  TORCH_CHECK(hidden.dim() == 2 && weight.dim() == 2 && hidden.size(1) == weight.size(1) && labels.dim() == 1 &&
                  labels.size(0) == hidden.size(0) && (!bias.defined() || (bias.dim() == 1 && bias.size(0) == weight.size(0))),
              "hidden ", hidden.sizes(), ", weight ", weight.sizes(), ", labels ", labels.sizes());
  if (hidden.size(0) == 0) return;
  const int64_t low = labels.min().item<int64_t>(), high = labels.max().item<int64_t>();
  TORCH_CHECK(low >= 0 && high < weight.size(0), "labels from ", low, " to ", high, " for a vocabulary of ", weight.size(0));
}

// The loss of each row, into losses unless null, and the gradients of Σ factor·loss that are needed; an undefined factor is 1.
Gradients over_chunks(const Tensor &h, const Head &head, const Tensor &labels, const Tensor &factor, double *losses, Needs needs) {
  const int64_t rows = h.size(0), v = head.weight.size(0);
  const auto acc = accumulate_type(h);
  const int64_t chunk = std::min(rows, std::max<int64_t>(32, head.chunk_bytes / (v * static_cast<int64_t>(at::elementSize(acc)))));
  Gradients d;
  if (needs.hidden) d.hidden = at::empty_like(h);
  if (needs.weight) d.weight = at::zeros_like(head.weight);
  if (needs.bias) d.bias = at::zeros_like(head.bias);
  if (needs.tail) d.tail = at::zeros_like(head.tail);
  auto buffer = at::empty({chunk, v}, h.options());
  std::vector<double> unread(losses ? 0 : rows);
  double *loss = losses ? losses : unread.data();
  for (int64_t at = 0; at < rows; at += chunk) {
    const int64_t c = std::min(chunk, rows - at);
    auto part = h.narrow(0, at, c), y = labels.narrow(0, at, c);
    auto logits = buffer.narrow(0, 0, c);
    at::mm_out(logits, part, head.weight.t());
    if (head.bias.defined()) logits.add_(head.bias);
    if (fast(logits)) {
      rows_fast(logits, y.contiguous().data_ptr<int64_t>(), head.cap, loss + at, needs.any());
    } else {
      rows_any(logits, y, head.cap, acc, loss + at, needs.any());
    }
    if (needs.any() && factor.defined()) logits.mul_(factor.narrow(0, at, c).unsqueeze(1));
    if (needs.hidden) {
      auto out = d.hidden.narrow(0, at, c);
      at::mm_out(out, logits, head.weight);
    }
    if (needs.weight) d.weight.addmm_(logits.t(), part);
    if (needs.bias) d.bias.add_(logits.sum(0));
    if (needs.tail) d.tail.addmm_(logits.narrow(1, v - d.tail.size(0), d.tail.size(0)).t(), part);
  }
  return d;
}

// The sum over all rows, and each. The sum's gradients are ready when the forward pass is: the backward pass multiplies them by one number.
struct CrossEntropy : torch::autograd::Function<CrossEntropy> {
  static variable_list forward(AutogradContext *ctx, const Tensor &hidden, const Tensor &weight, const std::optional<Tensor> &bias,
                        const std::optional<Tensor> &tail, const Tensor &labels, double cap, int64_t chunk_bytes, Needs needs) {
    const Head head{weight, bias.value_or(Tensor()), tail.value_or(Tensor()), cap, chunk_bytes};
    check_head(hidden, head, labels);
    auto each = at::empty({hidden.size(0)}, at::TensorOptions().dtype(at::kDouble));
    double *losses = each.data_ptr<double>(), total = 0;
    const auto d = over_chunks(hidden.contiguous(), head, labels, Tensor(), losses, needs);
    for (int64_t i = 0; i < each.numel(); i++) total += losses[i];
    ctx->save_for_backward({d.hidden, d.weight, d.bias, d.tail});
    ctx->mark_non_differentiable({each});
    return {at::scalar_tensor(total, hidden.options().dtype(accumulate_type(hidden))), each};
  }

  static variable_list backward(AutogradContext *ctx, variable_list grads) {
    auto saved = ctx->get_saved_variables();
    const double g = grads[0].item<double>();
    auto times = [&](const Tensor &t) { return t.defined() ? t * g : Tensor(); };
    return {times(saved[0]), times(saved[1]), times(saved[2]), times(saved[3]), Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

// The loss of each row. Where only hidden has a gradient it is made in the forward pass, up to a factor for each row; that of a trained
// head is a sum over rows, whose factors are known in the backward pass alone, so the logits are made again there.
struct TokenLosses : torch::autograd::Function<TokenLosses> {
  static Tensor forward(AutogradContext *ctx, const Tensor &hidden, const Tensor &weight, const std::optional<Tensor> &bias,
                        const std::optional<Tensor> &tail, const Tensor &labels, double cap, int64_t chunk_bytes, Needs needs) {
    const Head head{weight, bias.value_or(Tensor()), tail.value_or(Tensor()), cap, chunk_bytes};
    check_head(hidden, head, labels);
    auto h = hidden.contiguous();
    auto losses = at::empty({h.size(0)}, at::TensorOptions().dtype(at::kDouble));
    const bool early = needs.hidden && !needs.head();
    const auto d = over_chunks(h, head, labels, Tensor(), losses.data_ptr<double>(), Needs{early, false, false, false});
    if (early) {
      ctx->save_for_backward({d.hidden});
    } else if (needs.any()) {
      ctx->save_for_backward({h, head.weight, head.bias, head.tail, labels});
    }
    ctx->saved_data["cap"] = cap;
    ctx->saved_data["chunk_bytes"] = chunk_bytes;
    ctx->saved_data["needs"] = int64_t{needs.hidden + 2 * needs.weight + 4 * needs.bias + 8 * needs.tail};
    return losses.to(h.options().dtype(accumulate_type(h)));
  }

  static variable_list backward(AutogradContext *ctx, variable_list grads) {
    auto saved = ctx->get_saved_variables();
    if (saved.size() == 1) {
      auto factor = grads[0].to(saved[0].scalar_type()).unsqueeze(1);
      return {saved[0] * factor, Tensor(), Tensor(), Tensor(), Tensor(), Tensor(), Tensor(), Tensor()};
    }
    const int64_t flags = ctx->saved_data["needs"].toInt();
    const Needs needs{(flags & 1) != 0, (flags & 2) != 0, (flags & 4) != 0, (flags & 8) != 0};
    const Head head{saved[1].detach(), saved[2], saved[3], ctx->saved_data["cap"].toDouble(), ctx->saved_data["chunk_bytes"].toInt()};
    const auto d = over_chunks(saved[0], head, saved[4], grads[0].to(saved[0].scalar_type()), nullptr, needs);
    return {d.hidden, d.weight, d.bias, d.tail, Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

// A number that was computed elsewhere, with its derivatives by x.
struct Known : torch::autograd::Function<Known> {
  static Tensor forward(AutogradContext *ctx, const Tensor &x, const Tensor &derivatives, double value) {
    ctx->save_for_backward({derivatives});
    return at::scalar_tensor(value, x.options().dtype(accumulate_type(x)));
  }

  static variable_list backward(AutogradContext *ctx, variable_list grads) {
    auto d = ctx->get_saved_variables()[0];
    return {d * grads[0].to(d.scalar_type()), Tensor(), Tensor()};
  }
};

// The gradient of a lookup, for the last rows alone: a token before them leaves none.
struct EmbeddingTail : torch::autograd::Function<EmbeddingTail> {
  static Tensor forward(AutogradContext *ctx, const Tensor &weight, const Tensor &tail, const Tensor &ids) {
    TORCH_CHECK(weight.dim() == 2 && tail.dim() == 2 && weight.size(1) == tail.size(1) && tail.size(0) <= weight.size(0) && ids.dim() == 1,
                "weight ", weight.sizes(), ", tail ", tail.sizes(), ", ids ", ids.sizes());
    ctx->save_for_backward({ids});
    ctx->saved_data["first"] = weight.size(0) - tail.size(0);
    ctx->saved_data["rows"] = tail.size(0);
    return weight.index_select(0, ids);
  }

  static variable_list backward(AutogradContext *ctx, variable_list grads) {
    const auto &g = grads[0];
    auto rows = ctx->get_saved_variables()[0] - ctx->saved_data["first"].toInt();
    auto own = rows.ge(0).nonzero().squeeze(1);
    auto dtail = at::zeros({ctx->saved_data["rows"].toInt(), g.size(1)}, g.options());
    dtail.index_add_(0, rows.index_select(0, own), g.index_select(0, own));
    return {Tensor(), dtail, Tensor()};
  }
};

} // namespace

namespace {

template <class F> auto with_head(ft_tensor hidden, ft_tensor weight, ft_tensor labels, const ft_head_t *head, int64_t chunk_bytes) {
  const Tensor &h = ref(hidden), &w = ref(weight);
  auto optional = [](ft_tensor t) { return t ? std::optional<Tensor>(ref(t)) : std::nullopt; };
  const auto bias = optional(head->bias), tail = optional(head->tail);
  const bool on = at::GradMode::is_enabled();
  const Needs needs{on && h.requires_grad(), on && w.requires_grad(), on && bias && bias->requires_grad(), on && tail && tail->requires_grad()};
  return F::apply(h, w, bias, tail, ref(labels), head->cap, chunk_bytes, needs);
}

} // namespace

ft_tensor ft_cross_entropy(ft_tensor hidden, ft_tensor weight, ft_tensor labels, const ft_head_t *head, int64_t chunk_bytes, ft_tensor *each) {
  Tensor losses;
  ft_tensor sum = tensor_or_error([&] {
    auto both = with_head<CrossEntropy>(hidden, weight, labels, head, chunk_bytes);
    losses = both[1];
    return both[0];
  });
  *each = sum ? make(losses) : nullptr;
  return sum;
}

ft_tensor ft_token_losses(ft_tensor hidden, ft_tensor weight, ft_tensor labels, const ft_head_t *head, int64_t chunk_bytes) {
  return tensor_or_error([&] { return with_head<TokenLosses>(hidden, weight, labels, head, chunk_bytes); });
}

ft_tensor ft_known(ft_tensor x, ft_tensor derivatives, double value) {
  return tensor_or_error([&] {
    TORCH_CHECK(ref(x).sizes() == ref(derivatives).sizes(), "values ", ref(x).sizes(), ", derivatives ", ref(derivatives).sizes());
    return Known::apply(ref(x), ref(derivatives), value);
  });
}

ft_tensor ft_embedding_tail(ft_tensor weight, ft_tensor tail, ft_tensor ids) {
  return tensor_or_error([&] { return EmbeddingTail::apply(ref(weight), ref(tail), ref(ids)); });
}
