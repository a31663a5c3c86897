"""Training a population and reading its instruments: runs in, records out."""

from losscope.train.fast import keep_freed_memory
from losscope.train.measuring import architecture
from losscope.train.population import Population, train

__all__ = ["Population", "architecture", "keep_freed_memory", "train"]
