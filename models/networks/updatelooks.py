"""When a watch looks at a network that is being trained, and what it said."""

from __future__ import annotations

from typing import Any

from models.base.searched import UpdateWatch


class UpdateLooks:
    """The looks of a watch at one fit.

    Args:
        watch: who looks.
        model: at what; it predicts with the weights that it was given last.
    """

    def __init__(self, watch: UpdateWatch, model: Any) -> None:
        self._watch, self._model = watch, model
        self._left = list(watch.looks)
        self._stopped = False

    def due(self, updates: int) -> bool:
        """Whether it is time for a look; the last one is at the model as it comes out, in `finish`."""
        return len(self._left) > 1 and updates >= self._left[0]

    def look(self) -> bool:
        """Let the watch look; whether to stop."""
        self._stopped = bool(self._watch(self._left.pop(0), self._model))
        return self._stopped

    def finish(self) -> None:
        """The looks that are left, at the model as it has come out, unless the watch has stopped it."""
        while self._left and not self._stopped:
            self.look()
