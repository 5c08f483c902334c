// The queue of the device that PyTorch's operators run on.
#pragma once

#include <memory>
#include <string>

#include "clock/clock.hpp"
#include "device/queue.hpp"

namespace opclock {

// `device` as PyTorch writes it ("cuda:0"): timed by the events of its backend. Or "simulated": the CPU in a device's
// place, for tests. The clock is borrowed. Throws c10::Error for a device that this PyTorch cannot use.
std::unique_ptr<Queue> open_queue(const std::string& device, Clock& clock);

}  // namespace opclock
