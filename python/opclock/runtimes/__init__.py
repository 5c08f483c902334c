"""Whatever can run a model on a board: PyTorch and the runtimes of vendors and communities, one file each."""
