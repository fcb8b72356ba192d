"""The charts of a week, as PNG bytes of well under 60 kB: cumulative scores, scores by era, memory over time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from eraflow.reports.figures import (
    FAINT,
    GREY,
    INK,
    PALETTE,
    VERMILION,
    beside,
    new_figure,
    png_bytes,
    say_empty,
)

Curve = tuple[Sequence[str], Sequence[float]]
STYLES = ("-", "--", "-.", ":")  # a second round through the palette stays readable


def cumulative_corr_chart(
    curves: Mapping[str, Curve],
    *,
    highlight: str | None = None,
    benchmark: str | None = None,
    title: str = "Cumulative CORR, out of fold",
    metric: str = "CORR",
) -> bytes:
    """The running sum of a per-era score for several models; each starts at zero with its own first era.

    Args:
        curves: name to (era labels, values); NaN counts as zero.
        highlight: the blend: drawn in black on top, its drawdown shaded.
        benchmark: drawn dashed in grey.
        title: above the chart.
        metric: what the scores are.

    Returns:
        A PNG picture.
    """
    figure, axes = new_figure(title, "era", f"sum of per-era {metric}")
    drawn = {name: _running(*curve) for name, curve in curves.items() if len(curve[0])}
    if not drawn:
        say_empty(axes, "no scored eras yet")
        return png_bytes(figure)
    axes.axhline(0, color=GREY, linewidth=1.0)
    others = [name for name in drawn if name not in (highlight, benchmark)]
    handles = {name: axes.plot(*drawn[name], **_style(place))[0] for place, name in enumerate(others)}
    if benchmark in drawn:
        handles[benchmark] = axes.plot(*drawn[benchmark], color=GREY, linewidth=1.6, linestyle=(0, (4, 2)))[0]
    if highlight in drawn:
        handles[highlight] = _draw_highlight(axes, *drawn[highlight])
    _era_axis(axes, [eras for eras, _ in drawn.values()])
    order = sorted(handles, key=lambda name: -float(drawn[name][1][-1]))
    beside(axes, [handles[name] for name in order], [f"{drawn[name][1][-1]:+.2f}  {name}" for name in order])
    return png_bytes(figure)


def memory_chart(
    attempts: Mapping[str, Sequence[tuple[float, float]]], *, budget_mb: float | None = None, title: str = "Memory"
) -> bytes:
    """Memory of a stage over time, a curve for each attempt, with the budget as a line.

    Args:
        attempts: label to (seconds since the start, MiB of the whole process tree), in order.
        budget_mb: where the watchdog ends an attempt, MiB.
        title: above the chart.

    Returns:
        A PNG picture.
    """
    longest = max((points[-1][0] for points in attempts.values() if points), default=0.0)
    per_unit, unit = (60.0, "minutes") if longest > 300 else (1.0, "seconds")
    figure, axes = new_figure(title, unit, "MiB")
    handles, labels = [], []
    for place, (label, points) in enumerate(attempts.items()):
        if not points:
            continue
        seconds, used = np.asarray(points, dtype=np.float64).T
        handles += axes.plot(seconds / per_unit, used, **_style(place))
        axes.fill_between(seconds / per_unit, used, color=handles[-1].get_color(), alpha=0.08, linewidth=0)
        labels.append(f"{label}, peak {used.max():,.0f}")
    if not handles:
        say_empty(axes, "nothing was measured")
        return png_bytes(figure)
    if budget_mb is not None:
        handles.append(axes.axhline(budget_mb, color=VERMILION, linewidth=1.6, linestyle="--"))
        labels.append(f"budget {budget_mb:,.0f}")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    beside(axes, handles, labels)
    return png_bytes(figure)


def training_chart(points: Sequence[Mapping[str, Any]], *, title: str = "Training") -> bytes:
    """Loss, gradient norm and learning rate over the steps, on one logarithmic axis; the trainings one after another.

    Args:
        points: in order, with fit (number of the training), step, loss, grad_norm and rate; a figure may be None or,
            where it was not finite, text: such steps are marked.
        title: above the chart.

    Returns:
        A PNG picture.
    """
    figure, axes = new_figure(title, "step", "logarithmic")
    steps, starts = _steps_in_a_row(points)
    handles, labels = [], []
    for place, (name, label) in enumerate((("loss", "loss"), ("grad_norm", "gradient norm"), ("rate", "rate"))):
        figures = np.array([_positive(point.get(name)) for point in points], dtype=np.float64)
        if np.isfinite(figures).any():
            handles += axes.plot(steps, figures, **_style(place))
            labels.append(f"{label}, last {figures[np.isfinite(figures)][-1]:.3g}")
    if not handles:
        say_empty(axes, "nothing was told")
        return png_bytes(figure)
    axes.set_yscale("log")
    for start in starts[1:]:
        axes.axvline(start, color=FAINT, linewidth=0.8)
    broken = [step for step, point in zip(steps, points, strict=True) if isinstance(point.get("loss"), str)]
    if broken:
        handles += [axes.axvline(step, color=VERMILION, linewidth=1.2, linestyle="--") for step in broken[:1]]
        labels.append("loss is not finite")
    beside(axes, handles, labels)
    return png_bytes(figure)


def weights_chart(weights: Mapping[str, Curve], *, title: str = "Weights of the members") -> bytes:
    """What each member weighs over the eras.

    Args:
        weights: name to (era labels, weights), all of the same eras.
        title: above the chart.

    Returns:
        A PNG picture.
    """
    figure, axes = new_figure(title, "era", "weight")
    drawn = {name: (_numbers(eras), np.asarray(values)) for name, (eras, values) in weights.items() if len(eras)}
    if not drawn:
        say_empty(axes, "no eras were weighed for")
        return png_bytes(figure)
    axes.axhline(1 / len(drawn), color=GREY, linewidth=1.0, linestyle=":")
    handles = {
        name: axes.plot(*drawn[name], **_style(place), drawstyle="steps-post")[0] for place, name in enumerate(drawn)
    }
    axes.set_ylim(bottom=0)
    _era_axis(axes, [eras for eras, _ in drawn.values()])
    order = sorted(handles, key=lambda name: -float(drawn[name][1][-1]))
    beside(axes, [handles[name] for name in order], [f"{drawn[name][1][-1]:.2f}  {name}" for name in order])
    return png_bytes(figure)


def _steps_in_a_row(points: Sequence[Mapping[str, Any]]) -> tuple[list[int], list[int]]:
    """The steps of all trainings on one axis, and where each training begins."""
    steps: list[int] = []
    starts: list[int] = []
    offset, fit = 0, None
    for point in points:
        if point.get("fit") != fit:
            fit, offset = point.get("fit"), steps[-1] if steps else 0
            starts.append(offset)
        steps.append(offset + int(point["step"]))
    return steps, starts


def _positive(value: Any) -> float:
    """A figure for a logarithmic axis; a gap for anything else."""
    return float(value) if isinstance(value, int | float) and value > 0 else math.nan


def _style(place: int) -> dict[str, Any]:
    style = STYLES[place // len(PALETTE) % len(STYLES)]
    return {"color": PALETTE[place % len(PALETTE)], "linewidth": 1.6, "linestyle": style}


def _running(eras: Sequence[str], values: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    return _numbers(eras), np.cumsum(np.nan_to_num(np.asarray(values, dtype=np.float64), nan=0.0))


def _numbers(eras: Sequence[str]) -> np.ndarray:
    return np.array([int(era) for era in eras], dtype=np.float64)


def _draw_highlight(axes: Any, numbers: np.ndarray, sums: np.ndarray) -> Any:
    peak = np.maximum.accumulate(np.maximum(sums, 0.0))
    axes.fill_between(numbers, sums, peak, color=INK, alpha=0.10, linewidth=0)
    return axes.plot(numbers, sums, color=INK, linewidth=2.4, zorder=5)[0]


def _era_axis(axes: Any, numbers: Sequence[np.ndarray]) -> None:
    """About eight ticks on whole eras, labelled as eras are written in the files."""
    first, last = min(float(n.min()) for n in numbers), max(float(n.max()) for n in numbers)
    step = _round_step((last - first) / 8)
    ticks = np.arange(math.ceil(first / step) * step, last + 1, step) if last > first else np.array([first])
    axes.set_xticks(ticks, [f"{int(tick):04d}" for tick in ticks])
    margin = max((last - first) * 0.01, 0.5)
    axes.set_xlim(first - margin, last + margin)
    axes.grid(axis="x", color=FAINT, linewidth=0.4)


def _round_step(wanted: float) -> int:
    for step in (1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500):
        if step >= wanted:
            return step
    return 1000
