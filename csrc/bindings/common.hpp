// What crosses the boundary between Python and C++, for both extensions: every array with its shape, dtype and unit,
// and the checks of plain values. Whatever does not fit becomes a Python exception here.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/stl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

namespace opclock {

// Results go into arrays that the caller made before it began: a list made between two inferences would take its memory
// from the heap that the model's page faults depend on. All are float64, contiguous and writable, and never converted;
// values are seconds. They have one dimension, or two where there are several rounds.
using Seconds = pybind11::array_t<double, pybind11::array::c_style>;
using CallSeconds = Seconds;    // (op calls of the pool,): one call of each, by number
using KernelSeconds = Seconds;  // (calls of the trace,): the kernel of each, by position
using HostSeconds = Seconds;    // (calls of the trace + 1,): the host before each call, and after the last

// Samples come in as sequences of any length, float64 seconds in the order taken, and are copied.
using Samples = std::vector<double>;

// The array's data, once its shape has been checked. Throws std::invalid_argument.
inline double* data_of(Seconds& array, std::size_t length, const char* name) {
  if (array.ndim() != 1 || static_cast<std::size_t>(array.size()) != length) {
    throw std::invalid_argument(std::string(name) + " must be an array of " + std::to_string(length) +
                                " float64, this one has " + std::to_string(array.size()) + " in " +
                                std::to_string(array.ndim()) + " dimension(s)");
  }
  return array.mutable_data();
}

// The same of several rounds: one row for each.
inline double* data_of(Seconds& array, std::size_t rows, std::size_t columns, const char* name) {
  if (array.ndim() != 2 || static_cast<std::size_t>(array.shape(0)) != rows ||
      static_cast<std::size_t>(array.shape(1)) != columns) {
    throw std::invalid_argument(std::string(name) + " must be an array of " + std::to_string(rows) + " x " +
                                std::to_string(columns) + " float64, a row for each round");
  }
  return array.mutable_data();
}

inline int checked_threads(int threads) {
  constexpr int kMaxThreads = 1024;  // more than any board has cores; each spins until all have started
  if (threads < 1 || threads > kMaxThreads) {
    throw std::invalid_argument("threads must be between 1 and " + std::to_string(kMaxThreads) + ", not " +
                                std::to_string(threads));
  }
  return threads;
}

// Seconds of wall time. Infinity would never end.
inline double checked_duration_s(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0.0) {
    throw std::invalid_argument("max_s must be a finite number of seconds, 0 or more, not " + std::to_string(seconds));
  }
  return seconds;
}

// Bytes. More than the machine's memory would end the process.
inline std::size_t checked_working_set(std::size_t bytes) {
  const std::size_t memory =
      static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  if (bytes > memory) {
    throw std::invalid_argument("working_set_bytes must be at most this machine's memory of " + std::to_string(memory) +
                                ", not " + std::to_string(bytes));
  }
  return bytes;
}

}  // namespace opclock
