"""Networks, one builder per model."""
