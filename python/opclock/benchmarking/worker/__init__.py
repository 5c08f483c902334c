"""The child process that converts, runs or times one model."""
