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

TEST(every_pattern_moves_bytes) {
  Clock clock = Clock::choose();
  for (const char* name : {"read", "write", "copy", "triad", "update"}) {
    for (const std::size_t bytes : {std::size_t{1}, std::size_t{1} << 14U, std::size_t{1} << 20U}) {
      CHECK(bytes_per_s(clock, pattern_of(name), bytes, 2, 0.005) > 1e6);
    }
  }
}

TEST(unknown_names_are_refused) {
  check::throws<std::invalid_argument>([] { number_of("float13"); }, "a number there is not");
  check::throws<std::invalid_argument>([] { pattern_of("sideways"); }, "a pattern there is not");
}
