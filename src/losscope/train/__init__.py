"""Training a population and reading its instruments: runs in, records out."""

from losscope.train.population import Population, architecture, pick_device, train

__all__ = ["Population", "architecture", "pick_device", "train"]
