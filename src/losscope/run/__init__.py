"""Runs: where they are kept, how they are launched, and what they cost."""
