"""The child that converts, runs or times one model, and its parent's side."""
