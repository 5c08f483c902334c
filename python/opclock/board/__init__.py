"""What board this is, and what state it is in."""
