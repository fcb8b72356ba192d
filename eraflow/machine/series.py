"""Figures over time, in a bounded number of points."""

from __future__ import annotations

MAX_SAMPLES = 600


class Series:
    """Memory over time in at most 600 points: when full, neighbours are merged, and the higher one stays."""

    def __init__(self, limit: int = MAX_SAMPLES) -> None:
        self._limit = limit
        self._width = 0.0
        self.points: list[tuple[float, float]] = []

    def add(self, seconds: float, value: float) -> None:
        """Add a value (MiB) at a time (s)."""
        if self.points and seconds < self.points[-1][0] + self._width:
            self.points[-1] = (self.points[-1][0], max(self.points[-1][1], value))
        else:
            self.points.append((seconds, value))
        if len(self.points) > self._limit:
            self._merge()

    def _merge(self) -> None:
        pairs = [self.points[i : i + 2] for i in range(0, len(self.points), 2)]
        self.points = [(pair[0][0], max(value for _, value in pair)) for pair in pairs]
        self._width = (self.points[-1][0] - self.points[0][0]) / max(len(self.points) - 1, 1)
