#include "ceilings/ceilings.hpp"

#include "check.hpp"

using namespace opclock;

TEST(more_is_possible_than_nothing) {
  Clock clock = Clock::choose();
  CHECK(multiply_adds_per_s(clock, 1, 0.01) > 1e7);
  CHECK(copy_bytes_per_s(clock, 1U << 20U, 1, 0.01) > 1e6);
  CHECK(!vector_instructions().empty());
}

TEST(a_second_thread_takes_nothing_away) {
  Clock clock = Clock::choose();
  CHECK(multiply_adds_per_s(clock, 2, 0.02) > 0.5 * multiply_adds_per_s(clock, 1, 0.02));
}
