// One line about a crash: a segmentation fault in a model's compiled code ends the process without any.
#pragma once

#include <string>

namespace opclock {

// From now on, where SIGSEGV, SIGBUS, SIGILL, SIGFPE or SIGABRT ends this process, write "opclock: killed by SIGSEGV "
// and this text to standard error, and a line end. The process then ends by the signal as it would have. A signal that
// has a handler already keeps it. An empty text: write nothing any more. Threads that call this may overflow their
// stack.
void set_crash_line(const std::string& text);

}  // namespace opclock
