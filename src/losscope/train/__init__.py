"""Training a population and reading its instruments: runs in, records out."""

from losscope.train.measuring import architecture
from losscope.train.population import Population, keep_freed_memory, train

__all__ = ["Population", "architecture", "keep_freed_memory", "train"]
