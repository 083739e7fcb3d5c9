// Package torch is the only package that talks to libtorch: one locked thread, scopes that free tensors, operations, kernels.
//
//	err := torch.Do(func(s *torch.Scope) {
//		x := s.Float32s([]float32{1, 2, 3, 4}, 2, 2)
//		y := s.Linear(x, weight, nil) // [2 out]
//		sum = s.Item(s.Sum(y))
//	}) // y, x and every intermediate are freed here
//
// Thread. libtorch keeps the gradient mode, and gotch its last error, per OS thread, and every thread that enters an OpenMP
// region gets workers of its own. So everything runs on one OS thread: Do hands its function to it and waits. Do may be
// called from any goroutine; called on the thread itself it runs in place.
//
// Ownership. A tensor belongs to the scope that made it and is freed when the scope ends, never by a finalizer, so that peak
// memory is the same in every run. Scope.Keep passes a tensor to the enclosing scope, Scope.Own takes it out of all scopes
// until Free.
//
// Errors. An operation returns its tensor alone. When libtorch refuses, the operation panics with an *Error that names itself
// and the shapes, and Do returns that as its error; no panic leaves Do.
//
// Operations go through gotch's raw layer libtch; what it lacks is in the C++ files beside this one (kernels.h).
package torch

// #cgo CXXFLAGS: -std=c++17 -O3 -fopenmp
// #cgo LDFLAGS: -lstdc++ -ltorch -ltorch_cpu -lc10
// #include <stdlib.h>
// #include "kernels.h"
import "C"
