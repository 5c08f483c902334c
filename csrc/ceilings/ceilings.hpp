// What the machine can do at most: measured, never read from a data sheet.
#pragma once

#include <cstddef>
#include <string>

#include "clock/clock.hpp"

namespace opclock {

// Bytes read and written a second by copying between two buffers of `bytes` each, on `threads` threads
// (each its own share). The best of several passes over `most_s` seconds: a ceiling is what was reached once.
double copy_bytes_per_s(Clock& clock, std::size_t bytes, int threads, double most_s);

// fp32 multiply-accumulates a second in registers, all `threads` together.
double multiply_adds_per_s(Clock& clock, int threads, double most_s);

// Which vector instructions multiply_adds_per_s used: "avx512f", "avx2+fma", "neon" or "baseline".
std::string vector_instructions();

}  // namespace opclock
