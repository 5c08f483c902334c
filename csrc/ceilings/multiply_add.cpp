#include <cstddef>

#include "ceilings/ceilings.hpp"
#include "ceilings/team.hpp"

namespace opclock {
namespace {

constexpr int kAccumulators = 12;  // independent chains: two units of latency 4 to 5 are kept full, in 16 registers
constexpr int kSteps = 200'000;

template <int kLanes>
using Vector __attribute__((vector_size(kLanes * sizeof(float)))) = float;

// Written once with GCC/Clang vector extensions; each caller below is compiled for its own instructions.
template <int kLanes>
[[gnu::always_inline]] inline void chains() {
  using V = Vector<kLanes>;
  V sums[kAccumulators] = {};
  V factor = {};
  factor += 0.999F;
  V term = factor;
  asm volatile("" : "+m"(factor), "+m"(term));
  for (int step = 0; step < kSteps; ++step) {
#pragma GCC unroll 12
    for (int i = 0; i < kAccumulators; ++i) sums[i] = sums[i] * factor + term;
  }
  for (auto& sum : sums) asm volatile("" : "+m"(sum));
}

struct Kernel {
  const char* name;
  int lanes;
  void (*run)();
};

#if defined(__x86_64__)
[[gnu::target("avx512f,fma")]] void chains_avx512() { chains<16>(); }
[[gnu::target("avx2,fma")]] void chains_avx2() { chains<8>(); }
#endif
void chains_baseline() { chains<4>(); }

Kernel kernel() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return {"avx512f", 16, chains_avx512};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return {"avx2+fma", 8, chains_avx2};
#elif defined(__aarch64__)
  return {"neon", 4, chains_baseline};
#endif
  return {"baseline", 4, chains_baseline};
}

}  // namespace

std::string vector_instructions() { return kernel().name; }

double multiply_adds_per_s(Clock& clock, int threads, double most_s) {
  const Kernel chosen = kernel();
  const double amount = static_cast<double>(chosen.lanes) * kAccumulators * kSteps;
  return best_rate(clock, threads, most_s, amount, [&](int) { chosen.run(); });
}

}  // namespace opclock
