// Written by cmd/libtorch; given to the C++ compiler with -include.
//
// gotch v0.9.1 is generated for libtorch 2.1. Three functions it calls have since changed their parameters; the overloads
// below keep the old forms. The header does nothing outside gotch's own translation unit, which is known by the two
// headers beside it, so no other C++ package of a program pays for it or sees a changed setting.
#if defined(__cplusplus) && defined(__has_include)
#if __has_include("torch_api.h") && __has_include("torch_api_generated.h")
#ifndef FINETUNE_GOTCH_COMPAT_H
#define FINETUNE_GOTCH_COMPAT_H

#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#pragma GCC diagnostic ignored "-Wunused-variable"
#pragma GCC diagnostic ignored "-Wunused-result"
#endif

#include <torch/torch.h>
#include <torch/version.h>

#if TORCH_VERSION_MAJOR < 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR < 6)
#error libtorch is older than 2.6: run `go run github.com/gofinetune/finetune/cmd/libtorch install --download`
#endif

namespace torch {

namespace gotch_compat {
// gotch passes an undefined tensor where an optional one is absent.
inline std::optional<at::Tensor> present(const at::Tensor& t) {
  return t.defined() ? std::optional<at::Tensor>(t) : std::nullopt;
}

// libtorch 2.1 returned the largest magnitude of the product beside it; later ones leave that to the caller.
inline at::Tensor largest_magnitude(const at::Tensor& t) {
  return t.to(at::kFloat).abs().amax();
}
} // namespace gotch_compat

inline at::Tensor _cslt_sparse_mm(
    const at::Tensor& compressed_A,
    const at::Tensor& dense_B,
    const at::Tensor& bias,
    bool transpose_result) {
  return at::_cslt_sparse_mm(
      compressed_A, dense_B, gotch_compat::present(bias), {}, std::nullopt, transpose_result);
}

inline std::tuple<at::Tensor, at::Tensor> _scaled_mm(
    const at::Tensor& self,
    const at::Tensor& mat2,
    const at::Tensor& bias,
    std::optional<at::ScalarType> out_dtype,
    const at::Tensor& scale_a,
    const at::Tensor& scale_b,
    const at::Tensor& scale_result) {
  TORCH_CHECK(scale_a.defined() && scale_b.defined(), "_scaled_mm: scale_a and scale_b are required since libtorch 2.5");
  at::Tensor out = at::_scaled_mm(
      self, mat2, scale_a, scale_b, gotch_compat::present(bias), gotch_compat::present(scale_result), out_dtype);
  return {out, gotch_compat::largest_magnitude(out)};
}

inline std::tuple<at::Tensor&, at::Tensor&> _scaled_mm_out(
    at::Tensor& out,
    at::Tensor& out_amax,
    const at::Tensor& self,
    const at::Tensor& mat2,
    const at::Tensor& bias,
    std::optional<at::ScalarType> out_dtype,
    const at::Tensor& scale_a,
    const at::Tensor& scale_b,
    const at::Tensor& scale_result) {
  TORCH_CHECK(scale_a.defined() && scale_b.defined(), "_scaled_mm_out: scale_a and scale_b are required since libtorch 2.5");
  at::_scaled_mm_out(
      out, self, mat2, scale_a, scale_b, gotch_compat::present(bias), gotch_compat::present(scale_result), out_dtype);
  out_amax.copy_(gotch_compat::largest_magnitude(out));
  return {out, out_amax};
}

} // namespace torch

// gotch's file only forwards arguments: nothing in it is worth the optimizer's time. This takes a third off its
// compilation. O0 does not compile it.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O1")
#endif

#endif // FINETUNE_GOTCH_COMPAT_H
#endif
#endif
