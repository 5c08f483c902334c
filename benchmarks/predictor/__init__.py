"""Estimates of models of which nothing was measured."""
