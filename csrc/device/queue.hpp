// A device's queue: it executes work in the order in which the host puts it in. Events in it record times.
#pragma once

#include <cstddef>

namespace opclock {

class Queue {
 public:
  virtual ~Queue() = default;
  // Puts this event at the end of the queue. An event that was recorded before is recorded again.
  virtual void record(std::size_t event) = 0;
  // Whether the device has executed everything before this event.
  virtual bool reached(std::size_t event) const = 0;
  // Seconds between two events that the device has reached.
  virtual double between_s(std::size_t from, std::size_t to) const = 0;
  // Returns when the queue is empty.
  virtual void wait() = 0;
  // Puts blocking kernels in the queue that take at least this long: meanwhile the host can queue more work.
  virtual void block(double seconds) = 0;
  // The smallest difference between two intervals that events can show, in seconds. Measured.
  virtual double resolution_s() = 0;
};

}  // namespace opclock
