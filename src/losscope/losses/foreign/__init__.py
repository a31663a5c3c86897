"""Losses of other libraries and of users: built from their text, and trained."""
