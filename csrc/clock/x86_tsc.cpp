#include "clock/tick_source.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

namespace opclock {

#if defined(__x86_64__)
namespace {

class X86Tsc final : public TickSource {
 public:
  const char* name() const override { return "x86_tsc"; }
  std::uint64_t start() override {
    _mm_lfence();
    const std::uint64_t ticks = __rdtsc();
    _mm_lfence();
    return ticks;
  }
  std::uint64_t stop() override {
    unsigned int cpu = 0;
    const std::uint64_t ticks = __rdtscp(&cpu);
    _mm_lfence();
    return ticks;
  }
};

// CPUID 0x80000007, EDX bit 8: the counter runs at one rate in every power state, on every core.
bool invariant() {
  unsigned int eax = 0;
  unsigned int ebx = 0;
  unsigned int ecx = 0;
  unsigned int edx = 0;
  constexpr unsigned int kPowerLeaf = 0x80000007;
  return __get_cpuid(kPowerLeaf, &eax, &ebx, &ecx, &edx) != 0 && (edx & (1U << 8U)) != 0;
}

}  // namespace

std::unique_ptr<TickSource> x86_tsc() { return invariant() ? std::make_unique<X86Tsc>() : nullptr; }
#else
std::unique_ptr<TickSource> x86_tsc() { return nullptr; }
#endif

}  // namespace opclock
