"""Model files with a fault in one place, through every command that runs a model."""
