"""The features that a selection stage chose, window by window, as positions in the era store."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eraflow.errors import EraflowError


class SelectionFileError(EraflowError):
    """A selection cannot be read, lacks a window, or names features that the era store does not have."""

    code = "selection_file"


@dataclass(frozen=True)
class SelectedFeatures:
    """Features of each window and for live, in the order of the store.

    Attributes:
        windows: features of each window, in order.
        live: features of the fit for live.
    """

    windows: tuple[tuple[str, ...], ...]
    live: tuple[str, ...]

    @classmethod
    def read(cls, path: Path, windows: Sequence[Mapping[str, object]]) -> SelectedFeatures:
        """Read `selection.json`, for these windows.

        Raises:
            SelectionFileError: it cannot be read, or lacks one of the windows.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            chosen = {int(each["index"]): tuple(map(str, each["features"])) for each in content["windows"]}
            return cls(tuple(chosen[int(str(window["index"]))] for window in windows), tuple(content["live"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SelectionFileError(
                f"{path} does not tell the features of every window: {type(error).__name__} {error}",
                "remove its folder, so that the selection is made again",
            ) from error

    def columns(self, position: int, features: Sequence[str]) -> tuple[int, ...] | None:
        """Ascending positions in `features` of what the fit at `position` uses; None when that is all of them.

        Args:
            position: of the window, or the number of windows for live.
            features: of the era store, in its order.

        Raises:
            SelectionFileError: nothing was chosen, or a feature is not in the store.
        """
        chosen = set(self.windows[position] if position < len(self.windows) else self.live)
        unknown = chosen.difference(features)
        if unknown or not chosen:
            raise SelectionFileError(
                f"the selection names {sorted(unknown)[0]}, which the era store lacks"
                if unknown
                else f"the selection leaves no feature for fit {position + 1}",
                "remove its folder, so that the selection is made again",
            )
        if len(chosen) == len(features):
            return None
        return tuple(place for place, name in enumerate(features) if name in chosen)

    def most(self) -> int:
        """The largest number of features that a fit uses."""
        return max(len(features) for features in (*self.windows, self.live))
