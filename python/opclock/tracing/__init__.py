"""A model as the op calls it makes."""
