// Ceilings against one another: not for an emulator, whose own work hides what the processor would do.
#include "ceilings/ceilings.hpp"
#include "check.hpp"

using namespace opclock;

TEST(narrow_numbers_are_no_slower) {
  Clock clock = Clock::choose();
  const double wide = multiply_adds_per_s(clock, Number::float64, 1, 0.02);
  CHECK(multiply_adds_per_s(clock, Number::float32, 1, 0.02) > 1.2 * wide);
}

TEST(a_second_thread_takes_nothing_away) {
  Clock clock = Clock::choose();
  CHECK(multiply_adds_per_s(clock, Number::float32, 2, 0.02) >
        0.5 * multiply_adds_per_s(clock, Number::float32, 1, 0.02));
}

TEST(near_memory_is_faster) {
  Clock clock = Clock::choose();
  CHECK(bytes_per_s(clock, Pattern::read, 1U << 14U, 1, 0.02) > bytes_per_s(clock, Pattern::read, 1U << 28U, 1, 0.02));
  CHECK(loads_per_s(clock, 1U << 13U, 0.02) > 2 * loads_per_s(clock, 1U << 27U, 0.02));
}
