#include <cstring>
#include <vector>

#include "ceilings/ceilings.hpp"
#include "ceilings/team.hpp"

namespace opclock {

double copy_bytes_per_s(Clock& clock, std::size_t bytes, int threads, double most_s) {
  constexpr std::size_t kLeastBytesAPass = 1U << 22U;  // small buffers are copied again and again
  const std::size_t share = bytes / static_cast<std::size_t>(threads);
  const std::size_t repeats = 1 + kLeastBytesAPass / (share + 1);
  std::vector<std::vector<char>> from(static_cast<std::size_t>(threads), std::vector<char>(share, 1));
  std::vector<std::vector<char>> to(static_cast<std::size_t>(threads), std::vector<char>(share, 2));
  const auto work = [&](int thread) {
    const auto member = static_cast<std::size_t>(thread);
    for (std::size_t repeat = 0; repeat < repeats; ++repeat) {
      std::memcpy(to[member].data(), from[member].data(), share);
      asm volatile("" : : "r"(to[member].data()) : "memory");
    }
  };
  const double amount = 2.0 * static_cast<double>(share) * static_cast<double>(repeats);  // read and written
  return best_rate(clock, threads, most_s, amount, work);
}

}  // namespace opclock
