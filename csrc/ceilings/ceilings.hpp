// Ceilings: the highest rates that the machine reaches, measured. Every rate is the best of several passes in `max_s`
// seconds.
#pragma once

#include <cstddef>
#include <string>

#include "clock/clock.hpp"

namespace opclock {

// What a pass over memory does. The fastest variant counts: a plain loop, the C library's, or stores past the caches.
// `triad` is STREAM's a = b + s * c (McCalpin 1995), `update` overwrites what it reads.
enum class Pattern { read, write, copy, triad, update };
// Throws std::invalid_argument that lists all there are.
Pattern pattern_of(const std::string& name);

// Bytes read and written a second, of a working set of `bytes` altogether: all buffers, all threads.
double bytes_per_s(Clock& clock, Pattern pattern, std::size_t bytes, int threads, double max_s);

// Loads a second on one thread where each gives the address of the next, one in each cache line of `bytes`, in random
// order: the inverse is the latency.
double loads_per_s(Clock& clock, std::size_t bytes, double max_s);

// The type of the factors; their products are added up in the type that the machine has for that.
enum class Number { float64, float32, bfloat16, float16, int8 };
// Throws std::invalid_argument that lists all there are.
Number number_of(const std::string& name);

// Multiply-accumulates a second in registers, all `threads` together. Numbers that the machine cannot multiply as they
// are become float32, as they do in PyTorch.
double multiply_adds_per_s(Clock& clock, Number number, int threads, double max_s);

// Which instructions multiply_adds_per_s uses: "avx512f", "avx2+fma", "avx512_vnni", "neon", ... or "baseline".
std::string vector_instructions(Number number);

}  // namespace opclock
