"""Many models that were never measured, ordered by their estimated latency."""
