#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "ceilings/ceilings.hpp"
#include "ceilings/team.hpp"

#if defined(__x86_64__)
// Built for several instruction sets, and chosen when the program is loaded.
#define OPCLOCK_CLONES [[gnu::target_clones("default", "avx2", "avx512f")]]
#else
#define OPCLOCK_CLONES
#endif

namespace opclock {
namespace {

constexpr std::size_t kLeastBytesAPass = 1U << 24U;  // small buffers are passed over again and again
constexpr std::size_t kLanes = 64;                   // doubles: 16 of the widest registers there are are in flight

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
    asm volatile("" : : :);  // else the loop becomes a memcpy, which is the other variant
  }
  touch(to);
}

OPCLOCK_CLONES void triad_all(double* __restrict to, const double* __restrict left, const double* __restrict right,
                              std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) to[i] = left[i] + 3.0 * right[i];
  touch(to);
}

struct Buffers {
  std::vector<double> a, b, c;
};

std::size_t buffers_of(Pattern pattern) {
  switch (pattern) {
    case Pattern::read:
    case Pattern::write:
      return 1;
    case Pattern::copy:
      return 2;
    case Pattern::triad:
      break;
  }
  return 3;
}

// `library`: by the C library where it has a way of its own.
void pass(Pattern pattern, Buffers& mine, bool library) {
  const std::size_t count = mine.a.size();
  switch (pattern) {
    case Pattern::read:
      return read_all(mine.a.data(), count);
    case Pattern::write:
      if (!library) return write_all(mine.a.data(), count);
      std::memset(mine.a.data(), 1, count * sizeof(double));
      return touch(mine.a.data());
    case Pattern::copy:
      if (!library) return copy_all(mine.a.data(), mine.b.data(), count);
      std::memcpy(mine.a.data(), mine.b.data(), count * sizeof(double));
      return touch(mine.a.data());
    case Pattern::triad:
      return triad_all(mine.a.data(), mine.b.data(), mine.c.data(), count);
  }
}

}  // namespace

Pattern pattern_of(const std::string& name) {
  if (name == "read") return Pattern::read;
  if (name == "write") return Pattern::write;
  if (name == "copy") return Pattern::copy;
  if (name == "triad") return Pattern::triad;
  throw std::invalid_argument("no pattern '" + name + "': read, write, copy or triad");
}

double bytes_per_s(Clock& clock, Pattern pattern, std::size_t bytes, int threads, double most_s) {
  const std::size_t used = buffers_of(pattern);
  std::size_t count = bytes / used / static_cast<std::size_t>(threads) / sizeof(double);
  count = std::max(kLanes, count / kLanes * kLanes);
  std::vector<Buffers> buffers(static_cast<std::size_t>(threads));
  // Each thread makes its own, so that its memory is near it.
  team_s(clock, threads, [&](int thread) {
    auto& mine = buffers[static_cast<std::size_t>(thread)];
    mine.a.assign(count, 1.0);
    mine.b.assign(used > 1 ? count : 0, 2.0);
    mine.c.assign(used > 2 ? count : 0, 3.0);
  });
  const std::size_t moved = used * count * sizeof(double);
  const std::size_t repeats = 1 + kLeastBytesAPass / (moved + 1);
  const double amount = static_cast<double>(moved) * static_cast<double>(repeats);
  double best = 0.0;
  for (const bool library : {false, true}) {
    if (library && (pattern == Pattern::read || pattern == Pattern::triad)) break;
    best = std::max(best, best_rate(clock, threads, most_s, amount, [&](int thread) {
                      for (std::size_t repeat = 0; repeat < repeats; ++repeat) {
                        pass(pattern, buffers[static_cast<std::size_t>(thread)], library);
                      }
                    }));
  }
  return best;
}

}  // namespace opclock
