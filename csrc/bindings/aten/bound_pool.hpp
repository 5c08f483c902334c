// A pool as Python holds it.
#pragma once

#include <c10/core/InferenceMode.h>
#include <pybind11/pybind11.h>

#include <stdexcept>

#include "aten/pool.hpp"

namespace opclock {

// A pool runs without the GIL. Meanwhile neither another thread nor Python that a playback calls may touch it: that is
// checked here. Whatever runs kernels, waits for a device, sleeps or judges all samples goes through run(), which
// releases the GIL; what goes through idle() reads or sets a few numbers.
class BoundPool : public Pool {
 public:
  using Pool::Pool;
  void check_idle() const {
    if (running_) throw std::runtime_error("the pool is running: another thread or a playback uses it");
  }

  class Run {
   public:
    explicit Run(BoundPool& pool) : pool_(pool) {
      pool_.check_idle();
      pool_.running_ = true;
    }
    ~Run() { pool_.running_ = false; }
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;

   private:
    BoundPool& pool_;
  };

 private:
  bool running_ = false;  // read and written with the GIL alone
};

template <typename Function>
decltype(auto) without_gil(Function&& function) {
  const pybind11::gil_scoped_release release;
  const c10::InferenceMode inference;
  return function();
}

}  // namespace opclock
