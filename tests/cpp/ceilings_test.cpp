#include "ceilings/ceilings.hpp"

#include <doctest/doctest.h>

#include <stdexcept>

using namespace opclock;

TEST_CASE("every number can be multiplied") {
  Clock clock = Clock::choose();
  for (const char* name : {"float64", "float32", "bfloat16", "float16", "int8"}) {
    CHECK(multiply_adds_per_s(clock, number_of(name), 1, 0.01) > 0.0);
    CHECK(!vector_instructions(number_of(name)).empty());
  }
}

TEST_CASE("every pattern moves bytes") {
  Clock clock = Clock::choose();
  for (const char* name : {"read", "write", "copy", "triad", "update"}) {
    for (const std::size_t bytes : {std::size_t{1}, std::size_t{1} << 14U, std::size_t{1} << 20U}) {
      CHECK(bytes_per_s(clock, pattern_of(name), bytes, 2, 0.005) > 0.0);
    }
  }
}

TEST_CASE("loads are counted whatever the working set") {
  Clock clock = Clock::choose();
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{1} << 13U, std::size_t{1} << 20U}) {
    CHECK(loads_per_s(clock, bytes, 0.005) > 0.0);
  }
}

TEST_CASE("unknown names are refused") {
  CHECK_THROWS_AS(number_of("float13"), std::invalid_argument);
  CHECK_THROWS_AS(pattern_of("sideways"), std::invalid_argument);
}
