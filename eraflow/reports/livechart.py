"""Live scores as they add up, with the band in which the promise of the backtest expects them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eraflow.reports.figures import BLUE, GREY, VERMILION, beside, new_figure, png_bytes, say_empty

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LiveCourse:
    """What is drawn of one year of rounds.

    Attributes:
        dates: datetime64[D] of the looks.
        total, expected: float64[t], sum of the scores, and of what was promised.
        band: float64[t], half of its width.
        alarm: the look that raised one, or None.
    """

    dates: npt.NDArray[np.datetime64]
    total: FloatArray
    expected: FloatArray
    band: FloatArray
    alarm: int | None = None


def live_chart(years: Sequence[LiveCourse], *, title: str) -> bytes:
    """The curve of each year of rounds with its band; a PNG picture."""
    figure, axes = new_figure(title, "", "sum of live CORR")
    if not years:
        say_empty(axes, "no live scores that something was promised of")
        return png_bytes(figure)
    handles, labels = [], []
    for year in years:
        shade = axes.fill_between(
            year.dates, year.expected - year.band, year.expected + year.band, color=BLUE, alpha=0.12, lw=0
        )
        expected = axes.plot(year.dates, year.expected, color=GREY, linewidth=1.4, linestyle=(0, (4, 2)))[0]
        total = axes.plot(year.dates, year.total, color=BLUE, linewidth=1.8)[0]
        handles, labels = [total, expected, shade], ["live", "promised", "nine of ten looks"]
        if year.alarm is not None:
            at = axes.scatter([year.dates[year.alarm]], [year.total[year.alarm]], color=VERMILION, s=36, zorder=4)
            handles, labels = [*handles, at], [*labels, "alarm"]
    axes.tick_params(axis="x", rotation=20)
    beside(axes, handles, labels)
    return png_bytes(figure)
