"""A data set's original files, fetched once by pooch into the user's cache; or what to fetch from where."""

from __future__ import annotations

import hashlib
import os
import socket
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import getproxies

from losscope.core.bounds import gunzipped, regular
from losscope.core.errors import LosscopeError, require


def cache_folder() -> Path:
    """Where downloads and computed features lie: ``LOSSCOPE_CACHE``, or the user's cache folder."""
    given = os.environ.get("LOSSCOPE_CACHE")
    if given:
        return Path(given).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("losscope")


def places(root: Path | None, *folders: str) -> list[Path]:
    """The existing folders among ``folders`` below the data root and the cache, in that order."""
    bases = [base for base in (root, cache_folder()) if base is not None]
    return [base / folder for base in bases for folder in folders if (base / folder).is_dir()]


def reachable(url: str, seconds: float = 3.0) -> bool:
    """Whether the host of a URL answers; taken for granted where a proxy stands between."""
    parts = urlparse(url)
    if getproxies():
        return True
    try:
        socket.create_connection(
            (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)), timeout=seconds
        ).close()
    except OSError:
        return False
    return True


SCHEMES = ("https",)
"""How files are fetched; a checksum guards their content, and this guards who sees what is fetched."""


def fetch(what: str, urls: Sequence[str], to: Path, sha256: str, put: str) -> Path:
    """The file ``to``, downloaded from the first URL that answers, with progress and checksum.

    ``sha256`` is that of the file as downloaded: what has another is removed, and never unpacked; a file
    that lies there already is checked as well. ``put`` ends the error sentence: where to put the file by
    hand.

    Raises:
        LosscopeError: a URL that is not https, no network, a wrong checksum, a full disk.
    """
    for url in urls:
        require(
            urlparse(url).scheme in SCHEMES, f"{what} would be downloaded from {url!r}; wanted: an https URL"
        )
    if to.is_file():
        refuse_altered(to, sha256)
        return to
    live = [url for url in urls if reachable(url)]
    if not live:
        raise LosscopeError(
            f"{what} is not on this machine and there is no network: download {' or '.join(urls)} and put "
            f"it {put}"
        )
    import pooch

    pooch.get_logger().setLevel("WARNING")
    reasons = []
    for url in live:
        try:
            pooch.retrieve(
                url,
                known_hash=f"sha256:{sha256}",
                fname=to.name,
                path=to.parent,
                downloader=pooch.HTTPDownloader(progressbar=_progress(to.name), timeout=(5, 60)),
            )
            return to
        except OSError as error:
            raise_if_disk(error, to)
            reasons.append(f"{url}: {type(error).__name__}")
        except ValueError:
            reasons.append(f"{url}: wrong checksum")
    raise LosscopeError(
        f"{what} could not be downloaded ({'; '.join(reasons)}); download it by hand and put it {put}"
    )


def refuse_altered(path: Path, sha256: str) -> None:
    """Raise for a downloaded file whose content is not the published one."""
    with regular(path).open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    require(
        found == sha256,
        f"wrong checksum: {str(path)!r} has SHA-256 {found}, the published file has {sha256}; remove it and "
        "download it again",
    )


def raise_if_disk(error: OSError, to: Path) -> None:
    """Raise a clear sentence if the trouble is the disk and not the network."""
    if error.errno in (13, 28, 30):
        raise LosscopeError(
            f"cannot write {str(to)!r}: {error.strerror}; set LOSSCOPE_CACHE to another folder"
        ) from None


def _progress(name: str) -> Any:
    """A Rich bar with the four methods pooch calls, or False where nobody is looking."""
    if not sys.stderr.isatty():
        return False
    from rich.console import Console
    from rich.progress import Progress

    class Bar:
        def __init__(self) -> None:
            self.bar = Progress(console=Console(stderr=True))
            self.task = self.bar.add_task(name, total=None)
            self.bar.start()

        @property
        def total(self) -> float | None:
            return self.bar.tasks[0].total

        @total.setter
        def total(self, value: float) -> None:
            self.bar.update(self.task, total=value)

        def update(self, amount: int) -> None:
            self.bar.advance(self.task, amount)

        def reset(self) -> None:
            self.bar.reset(self.task)

        def close(self) -> None:
            self.bar.stop()

    return Bar()


def read_bytes(path: Path, md5: str | None) -> bytes:
    """The uncompressed bytes of a file (``.gz`` or plain), their md5 checked where it is known."""
    try:
        raw = gunzipped(path) if path.suffix == ".gz" else regular(path).read_bytes()
    except FileNotFoundError:
        raise LosscopeError(f"no file {str(path)!r}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise LosscopeError(
            f"{str(path)!r} is truncated or damaged ({type(error).__name__}); remove it and download it again"
        ) from None
    found = hashlib.md5(raw, usedforsecurity=False).hexdigest()
    if md5 is not None and found != md5:
        raise LosscopeError(
            f"wrong checksum: the uncompressed bytes of {str(path)!r} have md5 {found}, the published file "
            f"has {md5}; remove it and download it again"
        )
    return raw
