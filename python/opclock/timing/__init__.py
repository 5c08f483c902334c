"""Times op calls, host work and real models."""
