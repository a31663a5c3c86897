"""What a study file says, before it is checked as a study; what is wrong with it is one sentence."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from losscope.core.bounds import TEXT_BYTES, bounded_depth, bounded_integers, regular
from losscope.core.errors import SHOWN, LosscopeError, require, shown


def values(path: Path, trust: bool) -> dict[str, Any]:
    """The keys of a study file in TOML with what they say.

    Raises:
        LosscopeError: no file, one that is no TOML, too large or empty; or one that names plugins, which only
            ``trust`` lets run, or that says trust itself.
    """
    try:
        size = regular(path).stat().st_size
        require(
            size <= TEXT_BYTES,
            f"the study file {str(path)!r} has {size:,} bytes; at most {TEXT_BYTES:,} are read",
        )
        text = path.read_text(encoding="utf-8")
        bounded_depth(text, f"the study file {str(path)!r}")
        found = tomllib.loads(text)
    except LosscopeError:
        raise
    except OSError as error:
        raise LosscopeError(f"cannot read the study file {str(path)!r}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        # Beside TOMLDecodeError: numbers of thousands of digits, tables nested too deeply, no UTF-8.
        said = str(error)[:SHOWN]
        raise LosscopeError(f"the study file {str(path)!r} is not valid TOML: {said}") from None
    bounded_integers(found, f"the study file {str(path)!r}")
    require(
        bool(found),
        f"the study file {str(path)!r} is empty; it wants keys such as data, losses and seeds",
    )
    require(
        "trust" not in found,
        f"the study file {str(path)!r} says trust; only you can, with --trust (trust=True in Python)",
    )
    require(
        trust or not found.get("plugins"),
        f"the study file {str(path)!r} would run the plugins {shown(found.get('plugins'))}; if you "
        f"trust them, say so yourself with --trust (trust=True in Python)",
    )
    return found
