"""Models, found by the names that users give."""
