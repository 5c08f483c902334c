// opclock._aten: operator calls and null playback. Links libtorch.
#include "bindings/aten/common.hpp"
#include "bindings/clock.hpp"

PYBIND11_MODULE(_aten, module) {
  module.doc() = "opclock's operator calls, bound to PyTorch's dispatcher.";
  opclock::bind_clock(module);
  module.def("process_clock", &opclock::process_clock, pybind11::return_value_policy::reference,
             pybind11::call_guard<pybind11::gil_scoped_release>(),
             "The clock that pools and playbacks of this process are timed by.");
  opclock::bind_pool(module);
  opclock::bind_playback(module);
}
