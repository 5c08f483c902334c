#include <cstddef>
#include <cstdint>
#include <stdexcept>

#include "ceilings/ceilings.hpp"
#include "ceilings/team.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#include <sys/auxv.h>
#endif

namespace opclock {
namespace {

constexpr int kAccumulators = 12;  // independent chains: two units of latency 4 to 5 are kept full, in 16 registers
constexpr int kSteps = 200'000;

template <class Item, int kBytes>
using Vector __attribute__((vector_size(kBytes))) = Item;

// Written once with GCC/Clang vector extensions; each caller below is compiled for its own instructions.
template <class Item, int kBytes>
[[gnu::always_inline]] inline void chains() {
  using V = Vector<Item, kBytes>;
  V sums[kAccumulators] = {};
  V factor = {};
  factor += static_cast<Item>(0.999);
  V term = factor;
  asm volatile("" : "+m"(factor), "+m"(term));
  for (int step = 0; step < kSteps; ++step) {
#pragma GCC unroll 12
    for (int i = 0; i < kAccumulators; ++i) sums[i] = sums[i] * factor + term;
  }
  for (auto& sum : sums) asm volatile("" : "+m"(sum));
}

// The same where the instruction is no operator of the language: `expression` adds products of `left` and `right` to
// `sum`. A macro, because a lambda would be compiled without the instructions of the function around it.
#define OPCLOCK_CHAINS(Sum, Factor, expression)                           \
  Sum sums[kAccumulators] = {};                                           \
  Factor left = {};                                                       \
  Factor right = {};                                                      \
  asm volatile("" : "+m"(left), "+m"(right));                             \
  for (int count = 0; count < kSteps; ++count) {                          \
    _Pragma("GCC unroll 12") for (auto& sum : sums) { sum = expression; } \
  }                                                                       \
  for (auto& sum : sums) asm volatile("" : "+m"(sum));

struct Kernel {
  const char* name;
  int multiply_adds;  // of one instruction, or of the few that do one step together
  void (*run)();
};

#if defined(__x86_64__)
[[gnu::target("avx512f,fma")]] void float32_avx512() { chains<float, 64>(); }
[[gnu::target("avx512f,fma")]] void float64_avx512() { chains<double, 64>(); }
[[gnu::target("avx2,fma")]] void float32_avx2() { chains<float, 32>(); }
[[gnu::target("avx2,fma")]] void float64_avx2() { chains<double, 32>(); }

[[gnu::target("avx512bf16")]] void bfloat16_avx512() {
  OPCLOCK_CHAINS(__m512, __m512bh, _mm512_dpbf16_ps(sum, left, right))
}
[[gnu::target("avx512fp16")]] void float16_avx512() {
  OPCLOCK_CHAINS(__m512h, __m512h, _mm512_fmadd_ph(left, right, sum))
}
[[gnu::target("avx512vnni")]] void int8_avx512() {
  OPCLOCK_CHAINS(__m512i, __m512i, _mm512_dpbusd_epi32(sum, left, right))
}
[[gnu::target("avxvnni")]] void int8_avxvnni() {
  OPCLOCK_CHAINS(__m256i, __m256i, _mm256_dpbusd_avx_epi32(sum, left, right))
}
[[gnu::target("avx2")]] void int8_avx2() {
  const __m256i ones = _mm256_set1_epi16(1);
  OPCLOCK_CHAINS(
      __m256i, __m256i,
      _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_xor_si256(left, sum), right), ones)))
}
#elif defined(__aarch64__)
[[gnu::target("arch=armv8.2-a+dotprod")]] void int8_dot() {
  OPCLOCK_CHAINS(int32x4_t, int8x16_t, vdotq_s32(sum, left, right))
}
[[gnu::target("arch=armv8.2-a+fp16")]] void float16_neon() {
  OPCLOCK_CHAINS(float16x8_t, float16x8_t, vfmaq_f16(sum, left, right))
}
constexpr unsigned long kHalf = 1UL << 10U;  // HWCAP_ASIMDHP
constexpr unsigned long kDot = 1UL << 20U;   // HWCAP_ASIMDDP
#endif

void float32_baseline() { chains<float, 16>(); }
void float64_baseline() { chains<double, 16>(); }

#if defined(__x86_64__)
Kernel kernel(Number number) {
  const bool wide = __builtin_cpu_supports("avx512f") != 0;
  const bool fma = __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
  if (number == Number::float64) {
    if (wide) return {"avx512f", 8, float64_avx512};
    return fma ? Kernel{"avx2+fma", 4, float64_avx2} : Kernel{"baseline", 2, float64_baseline};
  }
  if (number == Number::bfloat16 && __builtin_cpu_supports("avx512bf16") != 0) {
    return {"avx512_bf16", 32, bfloat16_avx512};
  }
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 14
  if (number == Number::float16 && __builtin_cpu_supports("avx512fp16") != 0)
    return {"avx512_fp16", 32, float16_avx512};
#else
  (void)float16_avx512;  // compilers before that cannot ask for it at run time
#endif
  if (number == Number::int8) {
    if (__builtin_cpu_supports("avx512vnni") != 0) return {"avx512_vnni", 64, int8_avx512};
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 13
    if (__builtin_cpu_supports("avxvnni") != 0) return {"avx_vnni", 32, int8_avxvnni};
#else
    (void)int8_avxvnni;
#endif
    if (fma) return {"avx2", 32, int8_avx2};
  }
  if (wide) return {"avx512f", 16, float32_avx512};
  return fma ? Kernel{"avx2+fma", 8, float32_avx2} : Kernel{"baseline", 4, float32_baseline};
}
#elif defined(__aarch64__)
Kernel kernel(Number number) {
  const unsigned long has = getauxval(AT_HWCAP);
  if (number == Number::float64) return {"neon", 2, float64_baseline};
  if (number == Number::float16 && (has & kHalf) != 0) return {"neon+fp16", 8, float16_neon};
  if (number == Number::int8 && (has & kDot) != 0) return {"neon+dotprod", 16, int8_dot};
  return {"neon", 4, float32_baseline};
}
#else
Kernel kernel(Number number) {
  return number == Number::float64 ? Kernel{"baseline", 2, float64_baseline} : Kernel{"baseline", 4, float32_baseline};
}
#endif

}  // namespace

Number number_of(const std::string& name) {
  if (name == "float64") return Number::float64;
  if (name == "float32") return Number::float32;
  if (name == "bfloat16") return Number::bfloat16;
  if (name == "float16") return Number::float16;
  if (name == "int8") return Number::int8;
  throw std::invalid_argument("no number '" + name + "': float64, float32, bfloat16, float16 or int8");
}

std::string vector_instructions(Number number) { return kernel(number).name; }

double multiply_adds_per_s(Clock& clock, Number number, int threads, double max_s) {
  const Kernel chosen = kernel(number);
  const double amount = static_cast<double>(chosen.multiply_adds) * kAccumulators * kSteps;
  return best_rate(clock, threads, max_s, amount, [&](int) { chosen.run(); });
}

}  // namespace opclock
