"""Times one model in several runtimes, each in its own process."""
