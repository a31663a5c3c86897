"""Networks, one builder a model."""
