"""Child processes that serve requests, and end with their parent."""
