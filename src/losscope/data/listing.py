"""Rows that list the same file again."""

from __future__ import annotations

import posixpath

import numpy as np

from losscope.data.base import Draft, Part


def listed_again(draft: Draft, pool: Part, items: np.ndarray) -> np.ndarray:
    """Rows that list a file again with the same content and labels, where no split or tuple names them.

    ``items`` (N,) are equal for rows of equal content.
    """
    told = (draft.role, draft.fold, draft.pairs, draft.triplets)
    if draft.names is None or any(array is not None for array in told):
        return np.zeros(0, np.int64)
    known, place = np.unique(draft.names.astype(str), return_inverse=True)
    paths = np.unique(_plain_paths(known), return_inverse=True)[1][place.reshape(-1)]
    if len(np.unique(paths)) == len(paths):
        return np.zeros(0, np.int64)
    columns = [paths, items, pool.labels, pool.fine_labels, pool.groups]
    keys = np.stack([array.astype(np.int64) for array in columns if array is not None], 1)
    first = np.unique(keys, axis=0, return_index=True)[1]
    return np.setdiff1d(np.arange(len(keys)), first)


def _plain_paths(paths: np.ndarray) -> np.ndarray:
    """Paths (N,) written in one way: ``a//b`` and ``a/./b`` as ``a/b``."""
    find = np.char.find
    odd = (find(paths, "//") >= 0) | (find(paths, "./") >= 0) | (paths == "")
    odd |= np.char.endswith(paths, "/") | np.char.endswith(paths, ".")
    plain = paths.astype(object)
    plain[odd] = [posixpath.normpath(path) for path in paths[odd].tolist()]
    return plain.astype(str)
