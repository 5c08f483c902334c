"""Two published studies, repeatable on any board."""
