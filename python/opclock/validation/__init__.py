"""Compares estimates with real inference."""
