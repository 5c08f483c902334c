"""Child processes that serve requests; the one that converts, runs or times one model."""
