"""One model through several runtimes, each in a process of its own."""
