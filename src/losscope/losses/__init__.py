"""Losses, grouped by mathematical family."""
