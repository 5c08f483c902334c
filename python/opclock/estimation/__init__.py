"""A model's latency from a trace and a profile: no torch, no compiled part."""
