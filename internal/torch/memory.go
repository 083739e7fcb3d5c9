package torch

// #include "kernels.h"
import "C"

// Memory is what tensors hold on the CPU, counted where libtorch asks for it.
type Memory struct {
	Live        int64 // bytes of the tensors that exist
	Peak        int64 // the largest Live since ResetPeak
	Cached      int64 // bytes freed by tensors and kept for the next ones
	Allocations int64 // requests that reached the operating system
}

// MemoryNow reads the counting allocator. It may be called from any goroutine.
func MemoryNow() Memory {
	start.Do(startThread)
	var m C.ft_memory_t
	C.ft_memory_get(&m)
	return Memory{Live: int64(m.live), Peak: int64(m.peak), Cached: int64(m.cached), Allocations: int64(m.allocations)}
}

// ResetPeak starts a new measurement of Memory.Peak.
func ResetPeak() { start.Do(startThread); C.ft_memory_reset_peak() }

// Trim gives cached memory back to the operating system.
func Trim() { start.Do(startThread); C.ft_memory_trim() }

// LimitMemory makes an allocation fail with ErrOutOfMemory that would bring Live above bytes. 0 lifts the limit.
func LimitMemory(bytes int64) { start.Do(startThread); C.ft_memory_limit(C.int64_t(bytes)) }
