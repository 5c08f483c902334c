"""Two published studies that can be repeated on any board."""
