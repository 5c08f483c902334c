"""Identifies the board and reads its state."""
