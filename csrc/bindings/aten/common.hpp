// What the bindings of pools and of playbacks share.
#pragma once

#include <c10/util/Exception.h>
#include <pybind11/pybind11.h>

#include <stdexcept>
#include <string>

#include "clock/clock.hpp"

namespace opclock {

inline Clock& process_clock() {
  static Clock clock = Clock::choose();
  return clock;
}

// The rest is a C++ backtrace, which does not help a user.
inline std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// Errors inside become a ValueError that names what the work was for.
template <typename Function>
auto naming(const std::string& what, Function&& function) -> decltype(function()) {
  try {
    return function();
  } catch (const c10::Error& error) {
    throw std::invalid_argument(what + ": " + first_line(error.what_without_backtrace()));
  } catch (const std::exception& error) {
    throw std::invalid_argument(what + ": " + first_line(error.what()));
  }
}

void bind_pool(pybind11::module_& module);
void bind_playback(pybind11::module_& module);  // after pools, which it takes

}  // namespace opclock
