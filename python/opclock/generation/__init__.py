"""Language models: time to the first token and time per token by depth, from kernels."""
