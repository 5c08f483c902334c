#include "ceilings/ceilings.hpp"

#include <stdexcept>

#include "check.hpp"

using namespace opclock;

TEST(every_number_can_be_multiplied) {
  Clock clock = Clock::choose();
  for (const char* name : {"float64", "float32", "bfloat16", "float16", "int8"}) {
    CHECK(multiply_adds_per_s(clock, number_of(name), 1, 0.01) > 1e7);
    CHECK(!vector_instructions(number_of(name)).empty());
  }
}

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

TEST(every_pattern_moves_bytes) {
  Clock clock = Clock::choose();
  for (const char* name : {"read", "write", "copy", "triad", "update"}) {
    for (const std::size_t bytes : {std::size_t{1}, std::size_t{1} << 14U, std::size_t{1} << 20U}) {
      CHECK(bytes_per_s(clock, pattern_of(name), bytes, 2, 0.005) > 1e6);
    }
  }
}

TEST(near_memory_is_faster) {
  Clock clock = Clock::choose();
  CHECK(bytes_per_s(clock, Pattern::read, 1U << 14U, 1, 0.02) > bytes_per_s(clock, Pattern::read, 1U << 28U, 1, 0.02));
  CHECK(loads_per_s(clock, 1U << 13U, 0.02) > 2 * loads_per_s(clock, 1U << 27U, 0.02));
}

TEST(unknown_names_are_refused) {
  check::throws<std::invalid_argument>([] { number_of("float13"); }, "a number there is not");
  check::throws<std::invalid_argument>([] { pattern_of("sideways"); }, "a pattern there is not");
}
