"""The heat map of figures of features over blocks of eras and data versions, as a small PNG."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from eraflow.discovery.drift import Drift
from eraflow.reports.figures import BLUE, GREY, INK, VERMILION, new_figure, png_bytes, say_empty
from eraflow.scoring.ranking import FloatArray

ROWS = 30
ROW_INCHES, EDGE_INCHES = 0.19, 1.4
MOST_LABELS = 14
LONGEST_NAME = 34
UNKNOWN = "#d0d0d0"


def drift_map(history: Mapping[str, Drift], *, title: str) -> bytes:
    """Features downwards, the strongest of the newest version first; blocks of eras to the right, version by version.

    Blue is positive, vermilion negative, grey not known. The scale ends at the 98th percentile of the absolute figures,
    so that one outlier does not bleach the rest.

    Args:
        history: version to its figures, oldest version first.
        title: above the chart.

    Returns:
        A PNG picture.
    """
    figure, axes = new_figure(title, "eras", "")
    shown = list(history.values())[-1].strongest(ROWS).features if history else ()
    blocks = [(version, block) for version, drift in history.items() for block in drift.blocks]
    table = _table(history, shown)
    if not table.size or not np.isfinite(table).any():
        say_empty(axes, "nothing is known yet")
        return png_bytes(figure)
    figure.set_size_inches(figure.get_figwidth(), EDGE_INCHES + ROW_INCHES * len(shown))
    limit = float(np.quantile(np.abs(table[np.isfinite(table)]), 0.98)) or 1.0
    image = axes.imshow(table, aspect="auto", cmap=_colours(), vmin=-limit, vmax=limit, interpolation="nearest")
    _label(axes, shown, blocks)
    for start in _version_starts(blocks)[1:]:
        axes.axvline(start - 0.5, color=INK, linewidth=1.6)
    bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.02)
    bar.ax.tick_params(colors=GREY, labelsize=8)
    bar.outline.set_visible(False)
    return png_bytes(figure)


def _table(history: Mapping[str, Drift], shown: tuple[str, ...]) -> FloatArray:
    """float64[features, all blocks of all versions]; NaN where a version does not know a feature."""
    parts = []
    for drift in history.values():
        place = {name: row for row, name in enumerate(drift.features)}
        empty = np.full(len(drift.blocks), np.nan)
        rows = [drift.values[place[name]] if name in place else empty for name in shown]
        parts.append(np.array(rows, dtype=np.float64).reshape(len(shown), len(drift.blocks)))
    return np.concatenate(parts, axis=1) if parts else np.zeros((0, 0))


def _colours() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("drift", [VERMILION, "#ffffff", BLUE]).with_extremes(bad=UNKNOWN)


def _label(axes: Any, features: tuple[str, ...], blocks: list[tuple[str, str]]) -> None:
    axes.grid(visible=False)
    names = [name.removeprefix("feature_") for name in features]
    short = [name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…" for name in names]
    axes.set_yticks(range(len(short)), short, fontsize=7, parse_math=False)
    step = -(-len(blocks) // MOST_LABELS)
    ticks = sorted({*_version_starts(blocks), *range(0, len(blocks), step)})
    starts = set(_version_starts(blocks)) if len({version for version, _ in blocks}) > 1 else set()
    labels = [f"{blocks[tick][0]}\n{blocks[tick][1][:4]}" if tick in starts else blocks[tick][1][:4] for tick in ticks]
    axes.set_xticks(ticks, labels, fontsize=8)


def _version_starts(blocks: list[tuple[str, str]]) -> list[int]:
    return [place for place, (version, _) in enumerate(blocks) if place == 0 or blocks[place - 1][0] != version]
