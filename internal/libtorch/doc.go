// Package libtorch finds or fetches libtorch and tells the C++ compiler and the linker where it is.
//
// It is the logic of cmd/libtorch and builds without cgo, because it runs before libtorch exists. What it makes is a
// prefix, one folder under the user's data directory:
//
//	libtorch-2.11.0-cpu/
//	    torch/lib  torch/include      the shared libraries and headers (only where they were downloaded)
//	    nvidia/…                      the CUDA libraries that libtorch_cpu.so names
//	    include/gotch_compat.h        lets gotch, generated for libtorch 2.1, compile against later ones
//	    link/                         empty archives for the libraries that gotch names and this libtorch lacks
//	    manifest.json                 which libtorch is used, from where, and how to link it
//
// The compiler's and linker's flags are part of Go's build-cache key and gotch's C++ takes minutes to compile. So the
// flags depend on nothing but the prefix, whose name holds libtorch's version and variant.
package libtorch
