// The counting allocator: it knows to the byte what tensors hold on the CPU, and keeps freed blocks for the next ones.
//
// glibc gives every large block back to the system and pays page faults to get it again, which costs a training step more than
// some of its arithmetic. Here a block of 64 KiB or more is kept under its rounded size (at most 1/8 above what was asked) until
// ft_memory_trim. Kept blocks are bounded by the peak of what tensors held.
#include "kernels.hpp"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>

#include <cstdlib>
#include <map>
#include <mutex>
#include <vector>

namespace {

constexpr size_t kAlign = 64;          // a cache line, and the alignment that ATen expects
constexpr size_t kCached = 64 << 10;   // smaller blocks go to malloc, which is good at them
constexpr size_t kHuge = 2 << 20;      // from here on blocks are aligned for huge pages

struct Header { // stands in the kAlign bytes before the data
  size_t asked, block;
};

size_t round_up(size_t n) {
  if (n < kCached) return n;
  size_t step = kCached / 8;
  while (step * 16 <= n) step *= 2; // steps of an eighth of the power of two below
  return (n + step - 1) / step * step;
}

struct Counting final : c10::Allocator {
  std::mutex mutex;
  std::map<size_t, std::vector<void *>> free_blocks; // by block size
  int64_t live = 0, peak = 0, cached = 0, allocations = 0, limit = 0;

  static Counting &instance() {
    static Counting *c = new Counting; // never destroyed: tensors may outlive static destructors
    return *c;
  }

  // The smallest kept block that fits without wasting half of itself; block becomes its size. Batches differ in length from step to
  // step, so a block of exactly the size is rarely at hand.
  void *from_cache(size_t &block) {
    auto it = free_blocks.lower_bound(block);
    if (it == free_blocks.end() || it->first > 2 * block) return nullptr;
    void *p = it->second.back();
    it->second.pop_back();
    block = it->first;
    if (it->second.empty()) free_blocks.erase(it);
    cached -= static_cast<int64_t>(block);
    return p;
  }

  // Gives kept blocks back, the largest first, until what is held and kept stays within an eighth of the peak with block added.
  void make_room(size_t block) {
    while (!free_blocks.empty() && live + cached + static_cast<int64_t>(block) > peak + peak / 8) {
      auto it = std::prev(free_blocks.end());
      ::free(it->second.back());
      it->second.pop_back();
      cached -= static_cast<int64_t>(it->first);
      if (it->second.empty()) free_blocks.erase(it);
    }
  }

  void trim_locked() {
    for (auto &entry : free_blocks)
      for (void *p : entry.second) ::free(p);
    free_blocks.clear();
    cached = 0;
  }

  void *from_system(size_t block) {
    void *p = nullptr;
    size_t align = block >= kHuge ? kHuge : kAlign;
    if (posix_memalign(&p, align, block + kAlign) != 0) return nullptr;
#ifdef MADV_HUGEPAGE
    if (block >= kHuge) madvise(p, block + kAlign, MADV_HUGEPAGE);
#endif
    allocations++;
    return p;
  }

  c10::DataPtr allocate(size_t n) override {
    if (n == 0) return {nullptr, nullptr, &release, c10::Device(c10::kCPU)};
    size_t block = round_up(n);
    std::lock_guard<std::mutex> hold(mutex);
    if (limit > 0 && live + static_cast<int64_t>(n) > limit)
      TORCH_CHECK(false, "out of memory: asked for ", n, " bytes with ", live, " in use and a limit of ", limit);
    void *p = block >= kCached ? from_cache(block) : nullptr;
    if (!p) {
      if (block >= kCached) make_room(block);
      p = from_system(block);
    }
    if (!p) {
      trim_locked();
      p = from_system(block);
    }
    TORCH_CHECK(p, "out of memory: asked for ", n, " bytes with ", live, " in use");
    *static_cast<Header *>(p) = {n, block};
    live += static_cast<int64_t>(n);
    if (live > peak) peak = live;
    void *data = static_cast<char *>(p) + kAlign;
    return {data, data, &release, c10::Device(c10::kCPU)};
  }

  static void release(void *data) {
    if (!data) return;
    void *p = static_cast<char *>(data) - kAlign;
    Header h = *static_cast<Header *>(p);
    auto &c = instance();
    std::lock_guard<std::mutex> hold(c.mutex);
    c.live -= static_cast<int64_t>(h.asked);
    if (h.block < kCached) {
      ::free(p);
      return;
    }
    c.free_blocks[h.block].push_back(p);
    c.cached += static_cast<int64_t>(h.block);
  }

  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void *dst, const void *src, std::size_t n) const override { default_copy_data(dst, src, n); }
};

} // namespace

void ft_memory_install(void) { c10::SetCPUAllocator(&Counting::instance(), 255); }

void ft_memory_get(ft_memory_t *m) {
  auto &c = Counting::instance();
  std::lock_guard<std::mutex> hold(c.mutex);
  *m = {c.live, c.peak, c.cached, c.allocations};
}

void ft_memory_reset_peak(void) {
  auto &c = Counting::instance();
  std::lock_guard<std::mutex> hold(c.mutex);
  c.peak = c.live;
}

void ft_memory_trim(void) {
  auto &c = Counting::instance();
  std::lock_guard<std::mutex> hold(c.mutex);
  c.trim_locked();
}

void ft_memory_limit(int64_t bytes) {
  auto &c = Counting::instance();
  std::lock_guard<std::mutex> hold(c.mutex);
  c.limit = bytes;
}
