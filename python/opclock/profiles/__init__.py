"""Profiles: the measurements of one board in one file."""
