#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

#include "ceilings/ceilings.hpp"
#include "ceilings/team.hpp"

namespace opclock {
namespace {

constexpr std::size_t kLine = 64;          // bytes; where lines are longer, some loads hit the line before
constexpr std::size_t kLoads = 1U << 16U;  // of one pass

struct alignas(kLine) Line {
  const Line* next = nullptr;
};

// One cycle through all lines, in random order (Sattolo 1986).
void link(std::vector<Line>& lines) {
  std::vector<std::size_t> order(lines.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::mt19937_64 random(1);
  for (std::size_t i = order.size() - 1; i > 0; --i) std::swap(order[i], order[random() % i]);
  for (std::size_t i = 0; i < lines.size(); ++i) lines[i].next = &lines[order[i]];
}

}  // namespace

double loads_per_s(Clock& clock, std::size_t bytes, double max_s) {
  std::vector<Line> lines(std::max<std::size_t>(2, bytes / kLine));
  link(lines);
  const Line* line = lines.data();
  const auto chase = [&](int /*thread*/) {
    for (std::size_t load = 0; load < kLoads; ++load) line = line->next;
    asm volatile("" : "+r"(line));
  };
  for (std::size_t visited = 0; visited < lines.size(); visited += kLoads) chase(0);  // warm: every line once
  return best_rate(clock, 1, max_s, static_cast<double>(kLoads), chase);
}

}  // namespace opclock
