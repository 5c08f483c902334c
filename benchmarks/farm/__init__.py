"""Farms on this machine: what breaks in one, what its worker costs a measurement, and how far it scales."""
