// The four kernels of STREAM (McCalpin 1995), written anew and left to the compiler: what opclock's bandwidth is
// compared with. Prints the best rate of each in bytes a second.
//     g++ -O3 -march=native -fopenmp benchmarks/stream.cpp -o stream && OMP_NUM_THREADS=2 ./stream
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <vector>

constexpr std::size_t kCount = std::size_t{1} << 24U;  // 128 MiB an array: beyond any last-level cache of a small board
constexpr int kPasses = 12;

template <typename Kernel>
double best_rate(double bytes, Kernel kernel) {
  double best = 0.0;
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    kernel();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    best = std::max(best, bytes / taken.count());
  }
  return best;
}

int main() {
  std::vector<double> a(kCount), b(kCount), c(kCount);
  double *x = a.data(), *y = b.data(), *z = c.data();
  constexpr double kWord = sizeof(double);
  const auto count = static_cast<std::ptrdiff_t>(kCount);
#pragma omp parallel for
  for (std::ptrdiff_t i = 0; i < count; ++i) x[i] = 1.0, y[i] = 2.0, z[i] = 0.0;
  const double copy = best_rate(2 * kWord * kCount, [&] {
#pragma omp parallel for
    for (std::ptrdiff_t i = 0; i < count; ++i) z[i] = x[i];
  });
  const double scale = best_rate(2 * kWord * kCount, [&] {
#pragma omp parallel for
    for (std::ptrdiff_t i = 0; i < count; ++i) y[i] = 3.0 * z[i];
  });
  const double add = best_rate(3 * kWord * kCount, [&] {
#pragma omp parallel for
    for (std::ptrdiff_t i = 0; i < count; ++i) z[i] = x[i] + y[i];
  });
  const double triad = best_rate(3 * kWord * kCount, [&] {
#pragma omp parallel for
    for (std::ptrdiff_t i = 0; i < count; ++i) x[i] = y[i] + 3.0 * z[i];
  });
  std::printf("%.6g %.6g %.6g %.6g\n", copy, scale, add, triad);
  return x[kCount / 2] > 0 ? 0 : 1;
}
