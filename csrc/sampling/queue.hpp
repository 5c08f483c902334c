// A device's line of work, and marks in it that tell when the device came by.
#pragma once

#include <cstddef>

namespace opclock {

class Queue {
 public:
  virtual ~Queue() = default;
  // Puts the mark of this number at the end of the line; one that was there already now stands here.
  virtual void mark(std::size_t number) = 0;
  virtual bool passed(std::size_t number) const = 0;
  // Between two marks, both passed.
  virtual double between_s(std::size_t from, std::size_t to) const = 0;
  // Until the device has done all that stands in line.
  virtual void wait() = 0;
  // Puts work of at least so many seconds in line, behind which the host can get ahead.
  virtual void hold(double seconds) = 0;
  // The smallest difference that two intervals between marks can show, measured.
  virtual double resolution_s() = 0;
};

}  // namespace opclock
