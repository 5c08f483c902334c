// The line of work of the device that PyTorch's operators run on.
#pragma once

#include <memory>
#include <string>

#include "clock/clock.hpp"
#include "sampling/queue.hpp"

namespace opclock {

// `device` as PyTorch writes it ("cuda:0"), by events of whatever backend that is; or "simulated": the CPU as a device
// that does all at once, for looking at the whole path where there is no device. Throws c10::Error for one that this
// PyTorch cannot use.
std::unique_ptr<Queue> open_queue(const std::string& device, Clock& clock);

}  // namespace opclock
