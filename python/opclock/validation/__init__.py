"""Estimates against real inference."""
