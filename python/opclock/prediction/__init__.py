"""Times of op calls that nobody timed, by ceilings and by what sweeps teach: no torch, no compiled part."""
