"""What a process that trains must have in common with the one that planned: plugins, losscope's code, data.

The ids of runs are made by the driver. Were something else read by a worker that starts later, or by the
driver itself hours later, its numbers would stand under ids that do not describe them.
"""

from __future__ import annotations

from collections.abc import Sequence

from losscope.core import registry
from losscope.core.errors import LosscopeError
from losscope.run.code import code_digest


def check_code(planned: str) -> None:
    """Raise LosscopeError where this process has other code than ``code_digest`` told the driver."""
    import losscope.train  # noqa: F401  # imported first, so that what is compared is what is used

    if planned != code_digest():
        raise LosscopeError(
            "a worker has another losscope than the command began with (it was upgraded or edited since, or "
            "the machines have different ones); start the command again, it goes on from what is stored"
        )


def load_plugins(plugins: Sequence[str], digests: Sequence[str]) -> None:
    """Run plugins; LosscopeError where one has another text than the driver ran."""
    for plugin, digest in zip(plugins, digests, strict=True):
        registry.load_plugin(plugin)
        if registry.plugin_digest(plugin) != digest:
            raise LosscopeError(f"the plugin {plugin!r} was changed after the command began; start it again")


def check_data(name: str, planned: str | None, found: str) -> None:
    """Raise LosscopeError where data have another digest than the driver ``planned`` with, if it told one."""
    if planned is not None and planned != found:
        raise LosscopeError(
            f"the data {name!r} were changed after the command began; start it again, so that its runs are "
            "those of the data as they are now"
        )
