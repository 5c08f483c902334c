// Binds the clock to Python. Each extension times with its own clock and exposes it.
#pragma once

#include <pybind11/pybind11.h>

#include "clock/clock.hpp"

namespace opclock {

// module_local: the two extensions may be built with different pybind11, and share no types.
inline pybind11::class_<Clock> bind_clock(pybind11::module_& module) {
  namespace py = pybind11;
  py::class_<ClockProof>(module, "ClockProof", "How far the tick source and the OS clock agree over one window.",
                         py::module_local())
      .def_readonly("rate_hz", &ClockProof::rate_hz, "Ticks a second of OS time, measured now.")
      .def_readonly("disagreement", &ClockProof::disagreement, "|rate now / calibrated rate - 1|, a fraction.")
      .def_readonly("agrees", &ClockProof::agrees, "Whether the disagreement is within tolerance.");
  py::class_<Clock> clock(module, "Clock", "A tick source whose rate was measured against the OS clock.",
                          py::module_local());
  clock
      .def("prove", &Clock::prove, py::call_guard<py::gil_scoped_release>(),
           "Measure the rate again and compare it with the calibration.")
      .def_property_readonly("name", &Clock::name, "The tick source: x86_tsc, arm_cntvct or posix_monotonic_raw.")
      .def_property_readonly("nominal_hz", &Clock::nominal_hz, "The rate that the machine claims; 0 for none.")
      .def_property_readonly("rate_hz", &Clock::rate_hz, "The measured rate.")
      .def_property_readonly("steady", &Clock::steady, "Whether the calibration windows agreed.")
      .def_property_readonly("resolution_s", &Clock::resolution_s, "The smallest difference two intervals can show.")
      .def_property_readonly("read_cost_s", &Clock::read_cost_s, "The cost of one read.")
      .def_property_readonly("shortest_sample_s", &Clock::shortest_sample_s, "The shortest sample worth taking.");
  return clock;
}

}  // namespace opclock
