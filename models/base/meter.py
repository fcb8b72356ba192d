"""How far a fit is, told now and then."""

from __future__ import annotations

import time

from models.base.protocol import ProgressFn

SECONDS_BETWEEN = 0.5


class Meter:
    """Passes on how many units of work are done, at most about twice a second; the last unit always.

    Args:
        progress: takes (done, total, unit); None for nobody.
        total: all of the work.
        unit: what is counted, such as "trees".
    """

    def __init__(self, progress: ProgressFn | None, total: int, unit: str) -> None:
        self._progress, self._total, self._unit, self._sent = progress, total, unit, 0.0

    def __call__(self, done: int) -> None:
        """Tell that `done` units are finished."""
        now = time.monotonic()
        if self._progress is not None and (done >= self._total or now - self._sent >= SECONDS_BETWEEN):
            self._sent = now
            self._progress(done, self._total, self._unit)
