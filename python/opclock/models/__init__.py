"""The models a user can name."""
