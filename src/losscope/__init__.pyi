"""The public names with their types, for editors and type checkers; ``__init__.py`` imports them lazily."""

from losscope.atlases.calling import atlas as atlas
from losscope.auditing import audit as audit
from losscope.benching.command import bench as bench
from losscope.comparing.calling import compare as compare
from losscope.comparing.embedders import embedder as embedder
from losscope.comparing.judging import judge as judge
from losscope.comparing.paging import report as report
from losscope.comparing.reading import load as load
from losscope.core.errors import LosscopeError as LosscopeError
from losscope.core.registry import register as register
from losscope.core.results import Result as Result
from losscope.core.spec import LossSpec as LossSpec
from losscope.core.spec import Protocol as Protocol
from losscope.core.spec import Study as Study
from losscope.data.reading import read as read
from losscope.features.embedding import embed as embed
from losscope.inspecting import inspect as inspect
from losscope.losses import loss as loss
from losscope.losses.caching import cached as cached
from losscope.losses.distributed import Distributed as Distributed
from losscope.measures import classification as classification
from losscope.measures import cross_modal as cross_modal
from losscope.measures import geometry as geometry
from losscope.measures import retrieval as retrieval
from losscope.measures import verification as verification
from losscope.pairs import Labels as Labels
from losscope.pairs import Pairs as Pairs
from losscope.pairs import Relation as Relation
from losscope.pairs import Terms as Terms
from losscope.pairs import Triplets as Triplets
from losscope.papers.engine import reproduce as reproduce
from losscope.probe.callbacks.within import probing as probing
from losscope.probe.record import load_probe as load_probe
from losscope.probe.wrap import Probe as Probe
from losscope.varying.running import multiverse as multiverse

__version__: str

__all__ = [
    "Distributed",
    "Labels",
    "LossSpec",
    "LosscopeError",
    "Pairs",
    "Probe",
    "Protocol",
    "Relation",
    "Result",
    "Study",
    "Terms",
    "Triplets",
    "__version__",
    "atlas",
    "audit",
    "bench",
    "cached",
    "classification",
    "compare",
    "cross_modal",
    "embed",
    "embedder",
    "geometry",
    "inspect",
    "judge",
    "load",
    "load_probe",
    "loss",
    "multiverse",
    "probing",
    "read",
    "register",
    "report",
    "reproduce",
    "retrieval",
    "verification",
]
