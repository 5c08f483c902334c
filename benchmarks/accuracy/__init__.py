"""How far estimates lie from real inference."""
