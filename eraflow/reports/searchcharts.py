"""The charts of a search: its course trial by trial, and which parameters decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from eraflow.reports.figures import BLUE, FAINT, GREY, INK, VERMILION, beside, new_figure, png_bytes, say_empty


def course_chart(course: Sequence[Mapping[str, Any]], *, title: str, ylabel: str = "objective") -> bytes:
    """Every trial as a point, the best so far as a line, adaptive regularisation as a shade.

    Args:
        course: in order, with trial (from 1), value (None where it was given up), reported (step to score), origin and
            pressure (0 to 1).
        title: above the chart.
        ylabel: what the values are.

    Returns:
        A PNG picture. Trials that were given up stand at the last score they reported.
    """
    figure, axes = new_figure(title, "trial", ylabel)
    complete = [(line["trial"], line["value"]) for line in course if line["value"] is not None]
    given_up = [(line["trial"], last) for line in course if line["value"] is None and (last := _last(line)) is not None]
    if not complete:
        say_empty(axes, "no trial was completed")
        return png_bytes(figure)
    handles, labels = [], []
    if given_up:
        handles.append(axes.scatter(*zip(*given_up, strict=True), s=24, marker="x", color=GREY, linewidths=1.2))
        labels.append(f"given up: {len(given_up)}, score so far, no penalty")
    handles.append(axes.scatter(*zip(*complete, strict=True), s=28, color=BLUE, zorder=3))
    labels.append(f"completed: {len(complete)}")
    numbers, values = zip(*complete, strict=True)
    best = list(accumulate(values, max))
    handles += axes.step([*numbers, course[-1]["trial"]], [*best, best[-1]], where="post", color=INK, linewidth=1.8)
    labels.append(f"best so far, {best[-1]:.4f}")
    plain = next((line["value"] for line in course if line["origin"] == "defaults" and line["value"] is not None), None)
    if plain is not None:
        handles.append(axes.axhline(plain, color=VERMILION, linewidth=1.4, linestyle="--"))
        labels.append(f"defaults, {plain:.4f}")
    if any(line["pressure"] > 0 for line in course):
        handles.append(_draw_pressure(axes, course))
        labels.append("pressure against overfitting")
    axes.set_xlim(0.5, course[-1]["trial"] + 0.5)
    beside(axes, handles, labels)
    return png_bytes(figure)


def importance_chart(shares: Mapping[str, float], *, title: str) -> bytes:
    """A bar for each parameter, the most important one on top.

    Args:
        shares: parameter to its share, adding up to 1.
        title: above the chart.

    Returns:
        A PNG picture.
    """
    figure, axes = new_figure(title, "share of what decides a good trial", "")
    if not shares:
        say_empty(axes, "too few completed trials to tell")
        return png_bytes(figure)
    order = sorted(shares, key=lambda name: shares[name])
    axes.barh(order, [shares[name] for name in order], color=BLUE, height=0.6)
    axes.grid(axis="x", color=FAINT, linewidth=0.8)
    axes.set_xlim(0, 1)
    return png_bytes(figure)


def _last(line: Mapping[str, Any]) -> float | None:
    reported = line["reported"]
    return None if not reported else float(reported[max(reported, key=int)])


def _draw_pressure(axes: Any, course: Sequence[Mapping[str, Any]]) -> Any:
    low, high = axes.get_ylim()
    numbers, levels = [line["trial"] for line in course], [line["pressure"] for line in course]
    shade = axes.fill_between(
        numbers, low, [low + level * (high - low) for level in levels], step="mid", color=VERMILION, alpha=0.10, lw=0
    )
    axes.set_ylim(low, high)
    return shade
