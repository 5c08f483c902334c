#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "ceilings/ceilings.hpp"
#include "ceilings/memory.hpp"
#include "ceilings/team.hpp"

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

// Built for several instruction sets. The program's loader chooses one of them. It does so before the thread sanitizer
// is ready, so that a build with it has only one.
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define OPCLOCK_CLONES [[gnu::target_clones("default", "avx2", "avx512f")]]
#else
#define OPCLOCK_CLONES
#endif

namespace opclock {
namespace {

constexpr std::size_t kMinBytesPerPass = 1U << 24U;  // small buffers are passed over again and again
constexpr std::size_t kLanes = 64;  // doubles that are summed at once: they fill 8 registers of 512 bits

void touch(const void* memory) { asm volatile("" : : "r"(memory) : "memory"); }

OPCLOCK_CLONES void read_all(const double* from, std::size_t count) {
  std::uint64_t sums[kLanes] = {};
  const auto* words = reinterpret_cast<const std::uint64_t*>(from);
  for (std::size_t i = 0; i + kLanes <= count; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) sums[lane] |= words[i + lane];
  }
  touch(sums);
}

OPCLOCK_CLONES void write_all(double* to, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) to[i] = 1.5;
  touch(to);
}

OPCLOCK_CLONES void copy_all(double* to, const double* from, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    to[i] = from[i];
    asm volatile("" : : :);  // otherwise the compiler makes a memcpy of the loop, which is another variant
  }
  touch(to);
}

OPCLOCK_CLONES void triad_all(double* __restrict to, const double* __restrict left, const double* __restrict right,
                              std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) to[i] = left[i] + 3.0 * right[i];
  touch(to);
}

#if defined(__x86_64__)
// Stores that bypass the caches: lines that are overwritten are not read first.
void stream(double* to, double low, double high) { _mm_stream_pd(to, _mm_set_pd(high, low)); }

void write_past_caches(double* to, std::size_t count) {
  for (std::size_t i = 0; i < count; i += 2) stream(to + i, 1.5, 1.5);
  _mm_sfence();
}

void copy_past_caches(double* to, const double* from, std::size_t count) {
  for (std::size_t i = 0; i < count; i += 2) stream(to + i, from[i], from[i + 1]);
  _mm_sfence();
}

void triad_past_caches(double* to, const double* left, const double* right, std::size_t count) {
  for (std::size_t i = 0; i < count; i += 2) {
    stream(to + i, left[i] + 3.0 * right[i], left[i + 1] + 3.0 * right[i + 1]);
  }
  _mm_sfence();
}
#endif

OPCLOCK_CLONES void update_all(double* words, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) words[i] = 1.0 - words[i];
  touch(words);
}

struct Buffers {
  Memory a, b, c;
  std::size_t count = 0;
};

std::size_t buffers_of(Pattern pattern) {
  switch (pattern) {
    case Pattern::read:
    case Pattern::write:
    case Pattern::update:
      return 1;
    case Pattern::copy:
      return 2;
    case Pattern::triad:
      break;
  }
  return 3;
}

using Pass = void (*)(const Buffers&);

// The fastest of the variants is the ceiling.
std::vector<Pass> variants(Pattern pattern) {
  std::vector<Pass> passes;
  const auto add = [&passes](Pass pass) { passes.push_back(pass); };
  switch (pattern) {
    case Pattern::read:
      add([](const Buffers& mine) { read_all(mine.a.data(), mine.count); });
      break;
    case Pattern::write:
      add([](const Buffers& mine) { write_all(mine.a.data(), mine.count); });
      add([](const Buffers& mine) {
        std::memset(mine.a.data(), 1, mine.count * sizeof(double));
        touch(mine.a.data());
      });
#if defined(__x86_64__)
      add([](const Buffers& mine) { write_past_caches(mine.a.data(), mine.count); });
#endif
      break;
    case Pattern::copy:
      add([](const Buffers& mine) { copy_all(mine.a.data(), mine.b.data(), mine.count); });
      add([](const Buffers& mine) {
        std::memcpy(mine.a.data(), mine.b.data(), mine.count * sizeof(double));
        touch(mine.a.data());
      });
#if defined(__x86_64__)
      add([](const Buffers& mine) { copy_past_caches(mine.a.data(), mine.b.data(), mine.count); });
#endif
      break;
    case Pattern::triad:
      add([](const Buffers& mine) { triad_all(mine.a.data(), mine.b.data(), mine.c.data(), mine.count); });
#if defined(__x86_64__)
      add([](const Buffers& mine) { triad_past_caches(mine.a.data(), mine.b.data(), mine.c.data(), mine.count); });
#endif
      break;
    case Pattern::update:
      add([](const Buffers& mine) { update_all(mine.a.data(), mine.count); });
      break;
  }
  return passes;
}

}  // namespace

Pattern pattern_of(const std::string& name) {
  if (name == "read") return Pattern::read;
  if (name == "write") return Pattern::write;
  if (name == "copy") return Pattern::copy;
  if (name == "triad") return Pattern::triad;
  if (name == "update") return Pattern::update;
  throw std::invalid_argument("no pattern '" + name + "': read, write, copy, triad or update");
}

double bytes_per_s(Clock& clock, Pattern pattern, std::size_t bytes, int threads, double max_s) {
  const std::size_t used = buffers_of(pattern);
  std::size_t count = bytes / used / static_cast<std::size_t>(threads) / sizeof(double);
  count = std::max(kLanes, count / kLanes * kLanes);
  std::vector<Buffers> buffers(static_cast<std::size_t>(threads));
  // Each thread makes its own, so that its memory is near it.
  team_s(clock, threads, [&](int thread) {
    auto& mine = buffers[static_cast<std::size_t>(thread)];
    mine.count = count;
    mine.a = Memory(count, 0, 1.0);
    if (used > 1) mine.b = Memory(count, 1, 2.0);
    if (used > 2) mine.c = Memory(count, 2, 3.0);
  });
  const std::size_t passes = pattern == Pattern::update ? 2 : 1;  // over the same words: reading and writing
  const std::size_t moved = used * passes * count * sizeof(double);
  const std::size_t repeats = 1 + kMinBytesPerPass / (moved + 1);
  const double amount = static_cast<double>(moved) * static_cast<double>(repeats);
  double best = 0.0;
  for (const Pass pass : variants(pattern)) {
    best = std::max(best, best_rate(clock, threads, max_s, amount, [&](int thread) {
                      for (std::size_t repeat = 0; repeat < repeats; ++repeat) {
                        pass(buffers[static_cast<std::size_t>(thread)]);
                      }
                    }));
  }
  return best;
}

}  // namespace opclock
