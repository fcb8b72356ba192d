"""How the networks of a member learnt: a line of `learning-<fold>.csv` for every look at a training, and the chart.

    network,update,loss,corr
    1,20,1.0013,0.0121

`loss` is the mean over the rows since the last look, dropout included; `corr` the mean CORR of the eras that the fit
kept back, empty where it kept none.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eraflow.disk.atomic import write_text
from eraflow.reports.figures import PALETTE, beside, new_figures, png_bytes, say_empty

HEADER = ("network", "update", "loss", "corr")
CURVES = "curves.png"
LIVE = "live"
MOST_NAMED = 24
"""Networks that have a line each in the legend; of more, each fit has one."""


@dataclass(frozen=True)
class LearningCurve:
    """The training of one network.

    Attributes:
        fit: "fold 1" and so on, or "live".
        network: its place among those of the fit, from 1.
        updates: when it was looked at.
        losses, corrs: what was found; a CORR is NaN where no eras were kept back.
    """

    fit: str
    network: int
    updates: tuple[int, ...]
    losses: tuple[float, ...]
    corrs: tuple[float, ...]


def write_curves(folder: Path, fold: int | None, curves: Sequence[Sequence[tuple[int, float, float | None]]]) -> None:
    """Write the file of one fit; nothing when there is nothing to tell.

    Args:
        folder: of the stage.
        fold: its place, from 0; None: the fit for live.
        curves: of each network, (update, loss, CORR) in order.

    Raises:
        StorageError: it cannot be written.
    """
    if not curves:
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for network, points in enumerate(curves, start=1):
        writer.writerows((network, update, loss, "" if corr is None else corr) for update, loss, corr in points)
    write_text(curves_file(folder, fold), text.getvalue())


def read_curves(folder: Path) -> list[LearningCurve]:
    """The curves of all fits that are there, in order; a file that cannot be read counts as none."""
    found: list[LearningCurve] = []
    folds = sorted(int(path.stem.partition("-")[2]) for path in folder.glob("learning-[0-9]*.csv"))
    for fold in (*folds, None):
        path, fit = curves_file(folder, fold), LIVE if fold is None else f"fold {fold + 1}"
        with suppress(OSError, ValueError, KeyError, TypeError):  # people look at it, nothing is built on it
            found += _of_fit(fit, list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))))
    return found


def learning_chart(curves: Sequence[LearningCurve], *, title: str = "Learning") -> bytes:
    """Two panels over the updates: the training's loss, and the CORR of the eras that were kept back.

    Args:
        curves: a colour for each fit; further networks of a fit are thinner.
        title: above the chart.

    Returns:
        A PNG picture.
    """
    figure, (losses, corrs) = new_figures(title, "updates", ("training loss", "CORR of eras kept back"))
    if not curves:
        say_empty(losses, "nothing was learnt by updates")
        say_empty(corrs, "")
        return png_bytes(figure)
    places = {fit: place for place, fit in enumerate(dict.fromkeys(curve.fit for curve in curves))}
    handles: dict[str, Any] = {}
    bests: dict[str, list[float]] = {}
    many = len(curves) > MOST_NAMED
    for curve in curves:
        style = {"color": PALETTE[places[curve.fit] % len(PALETTE)], "linewidth": 1.8 if curve.network == 1 else 0.8}
        (line,) = losses.plot(curve.updates, curve.losses, marker=".", **style)
        known = [(at, value) for at, value in zip(curve.updates, curve.corrs, strict=True) if math.isfinite(value)]
        name = curve.fit if curve.network == 1 or many else f"{curve.fit}, network {curve.network}"
        if known:
            corrs.plot(*zip(*known, strict=True), marker=".", **style)
            best = max(known, key=lambda point: point[1])
            corrs.plot(*best, marker="o", color=style["color"])
            bests.setdefault(curve.fit, []).append(best[1])
            name += "" if many else f", best {best[1]:+.4f} after {best[0]}"
        handles.setdefault(name, line)
    if not any(math.isfinite(value) for curve in curves for value in curve.corrs):
        say_empty(corrs, "no eras were kept back")
    losses.set_xlim(left=0)
    names = [_of_many(name, bests.get(name, [])) for name in handles] if many else list(handles)
    beside(losses, list(handles.values()), names)
    return png_bytes(figure)


def _of_many(fit: str, bests: Sequence[float]) -> str:
    """What the legend says of all networks of a fit."""
    return f"{fit}, best {min(bests):+.4f} to {max(bests):+.4f}" if bests else fit


def curves_file(folder: Path, fold: int | None) -> Path:
    """The file of one fit, as for `write_curves`."""
    return folder / f"learning-{LIVE if fold is None else fold}.csv"


def _of_fit(fit: str, rows: Sequence[dict[str, str]]) -> list[LearningCurve]:
    curves = []
    for network in sorted({int(row["network"]) for row in rows}):
        mine = [row for row in rows if int(row["network"]) == network]
        corrs = tuple(float(row["corr"]) if row["corr"] else math.nan for row in mine)
        updates = tuple(int(row["update"]) for row in mine)
        curves.append(LearningCurve(fit, network, updates, tuple(float(row["loss"]) for row in mine), corrs))
    return curves
