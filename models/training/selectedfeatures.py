"""The features that a selection stage chose, window by window, as positions in the era store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from eraflow.data.eras import Window
from eraflow.errors import EraflowError


class SelectionFileError(EraflowError):
    """A selection cannot be read, lacks a window, or names features that the era store does not have."""

    code = "selection_file"


def read_selection(path: Path, windows: Sequence[Window]) -> tuple[tuple[str, ...], ...]:
    """The features of `selection.json` for these windows, then for live, in the order of the store.

    Raises:
        SelectionFileError: it cannot be read, or lacks one of the windows.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        chosen = {int(each["index"]): tuple(map(str, each["features"])) for each in content["windows"]}
        return (*(chosen[window.index] for window in windows), tuple(map(str, content["live"])))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SelectionFileError(
            f"{path} does not tell the features of every window: {type(error).__name__} {error}",
            "remove its folder, so that the selection is made again",
        ) from error


def columns_of(chosen: Sequence[Sequence[str]], position: int, features: Sequence[str]) -> tuple[int, ...] | None:
    """Ascending positions in `features` of what the fit at `position` uses; None when that is all of them.

    Args:
        chosen: as `read_selection` gives it.
        position: of the window, or the number of windows for live.
        features: of the era store, in its order.

    Raises:
        SelectionFileError: nothing was chosen, or a feature is not in the store.
    """
    names = set(chosen[position])
    unknown = names.difference(features)
    if unknown or not names:
        raise SelectionFileError(
            f"the selection names {sorted(unknown)[0]}, which the era store lacks"
            if unknown
            else f"the selection leaves no feature for fit {position + 1}",
            "remove its folder, so that the selection is made again",
        )
    if len(names) == len(features):
        return None
    return tuple(place for place, name in enumerate(features) if name in names)


def columns_in(
    names: Sequence[str] | None, besides: Sequence[str], used: tuple[int, ...] | None, features: Sequence[str]
) -> tuple[int, ...] | None:
    """Those of the columns that a fit uses which lie in a set of features; None when that is all of `features`.

    Args:
        names: the set; None: all.
        besides: columns that belong to every set.
        used: ascending positions in `features` that the fit uses; None: all.
        features: names of the columns.

    Raises:
        SelectionFileError: no feature of the set is used.
    """
    if names is None:
        return used
    wanted, code = set(names), set(besides)
    chosen = range(len(features)) if used is None else used
    if not any(features[at] in wanted for at in chosen):
        raise SelectionFileError(
            "the selection leaves no feature of a set that a bag learns from",
            "leave the set out of bag.feature_sets, or select more features",
        )
    found = tuple(at for at in chosen if features[at] in wanted or features[at] in code)
    return None if len(found) == len(features) else found
