"""Data sets: named loaders, files of the user's own, and how they are split."""
