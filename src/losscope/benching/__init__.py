"""Speed beside the alternatives, both sides in one process on the same work; ratios are what counts."""
