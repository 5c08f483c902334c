"""Per-kernel and whole-model times that others published, and how well methods get from the one to the other."""
