"""Op calls, hosts and real models, timed."""
