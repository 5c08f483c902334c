#pragma once

#include <doctest/doctest.h>

#include <cmath>

// Equal up to an absolute tolerance; doctest's own epsilon is relative.
inline doctest::Approx within(double wanted, double tolerance) {
  return doctest::Approx(wanted).epsilon(tolerance / (1.0 + std::abs(wanted)));
}
