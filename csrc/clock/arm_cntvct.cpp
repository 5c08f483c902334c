#include "clock/tick_source.hpp"

namespace opclock {

#if defined(__aarch64__)
namespace {

class ArmCntvct final : public TickSource {
 public:
  const char* name() const override { return "arm_cntvct"; }
  std::uint64_t start() override { return read(); }
  std::uint64_t stop() override { return read(); }
  double nominal_hz() const override {
    std::uint64_t hz = 0;
    asm volatile("mrs %0, cntfrq_el0" : "=r"(hz));
    return static_cast<double>(hz);
  }

 private:
  // Without isb the counter may be read ahead of the work before it.
  static std::uint64_t read() {
    std::uint64_t ticks = 0;
    asm volatile("isb\n\tmrs %0, cntvct_el0\n\tisb" : "=r"(ticks) : : "memory");
    return ticks;
  }
};

}  // namespace

std::unique_ptr<TickSource> arm_cntvct() { return std::make_unique<ArmCntvct>(); }
#else
std::unique_ptr<TickSource> arm_cntvct() { return nullptr; }
#endif

}  // namespace opclock
