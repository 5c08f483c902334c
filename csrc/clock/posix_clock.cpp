#include <ctime>

#include "clock/tick_source.hpp"

namespace opclock {
namespace {

class PosixClock final : public TickSource {
 public:
  const char* name() const override { return "posix_monotonic_raw"; }
  std::uint64_t start() override { return read(); }
  std::uint64_t stop() override { return read(); }
  double nominal_hz() const override { return 1e9; }

 private:
  static std::uint64_t read() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC_RAW, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(now.tv_nsec);
  }
};

}  // namespace

std::unique_ptr<TickSource> posix_clock() { return std::make_unique<PosixClock>(); }

}  // namespace opclock
