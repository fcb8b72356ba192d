"""The stage that learns the code of the features: one for each window from its training eras, and one for live.

out/encoder-<window>/       what makes codes of features; "live" is the last
out/codes-<window>.npy      int8[n, c], the codes of the rows of the window's span, five levels
out/window-<window>.json    what was found, and by which it is recognised as finished
out/eras.csv, groups.csv    variance explained and divergence, out of sample, by judged era and by group of features
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap

from eraflow.data.eras import era_number
from eraflow.disk.atomic import atomic_path, write_json
from eraflow.disk.digest import file_sha256, value_sha256
from eraflow.erastore.erareader import EraStore
from eraflow.errors import EraflowError
from eraflow.machine.job import stage_function
from eraflow.machine.plan import Plan
from eraflow.machine.progress import report
from models.base.rows import tile_rows, tiles
from models.base.seeds import derived_seed
from models.compression.codedstore import codes_file, encoder_folder
from models.compression.encoder import Encoder
from models.compression.figures import columns_of_groups, era_figures, group_divergence, sample_of, told_of, write_csv
from models.compression.fitting import FittedCode, fit_code
from models.compression.job import CodeJob

LIVE = "live"
ERAS, GROUPS = "eras.csv", "groups.csv"
FIGURES = ("explained", "divergence")
CHECKPOINTS = "checkpoints"
LEARNING_SHARE = 0.7
"""Of the progress of a window; the rest is encoding."""


Step = Callable[[float, str], None]
"""Told the share of a window that is done, and at what it is."""


class LeakingCodeError(EraflowError):
    """The code of a window would be learnt from eras that the window is judged on, or that lie after them."""

    code = "leaking_code"


@dataclass(frozen=True)
class _Windows:
    """What all windows share."""

    job: CodeJob
    out: Path
    store: EraStore
    plan: Plan

    def label(self, position: int) -> str:
        windows = self.job.windows
        return str(windows[position].index) if position < len(windows) else LIVE

    def learnt(self, position: int) -> tuple[str, ...]:
        windows = self.job.windows
        return windows[position].train if position < len(windows) else self.job.final_eras

    def judged(self, position: int) -> tuple[str, ...]:
        windows = self.job.windows
        return windows[position].test if position < len(windows) else ()

    def seed_of(self, position: int) -> int:
        """As of the folds of a member: a window that is there next week, too, has the seed that it had."""
        judged = self.judged(position)
        return derived_seed(self.job.seed, era_number(judged[0]) if judged else position)

    def signature(self, position: int) -> str:
        """The name of a window's work; how the plan learns is not part of it, as for the folds of a member."""
        parts = {
            "recipe": asdict(self.job.recipe),
            "seed": self.job.seed,
            "groups": self.job.groups,
            "features": list(self.store.features),
            "rows": self.store.n_rows,
            "learnt": list(self.learnt(position)),
            "judged": list(self.judged(position)),
            "span": list(self.job.spans[position]),
        }
        return value_sha256(parts)


@stage_function(CodeJob)
def learn_codes(job: CodeJob, out: Path, plan: Plan) -> dict[str, Any]:
    """Learn, judge and write the code of every window and of live; see the head of this file.

    A window that is finished is found again by a later attempt, also by one whose plan learns in another way. A
    training goes on from its checkpoint.

    Returns:
        Figures for tables: `size`, `windows` (for each and for live: label, active units, variance explained and
        divergence in the rows learnt from and in the judged ones, updates, seconds).

    Raises:
        LeakingCodeError: a window is judged on eras before, or among, those that it learns from.
        LatentCollapseError: a code says nothing of the features.
        MissingLibraryError: torch is not installed.
        StageNaN, StageDiverged: a training went wrong.
        StorageError: a file cannot be written.
    """
    windows = _Windows(job, out, EraStore.open(job.store), plan)
    count = len(job.windows) + 1
    for position in range(count):
        _check(windows, position)
    parts = np.cumsum([0, *(len(windows.learnt(position)) for position in range(count))])
    found = [_window(windows, at, *(100 * parts[at : at + 2] / parts[-1]).tolist()) for at in range(count)]
    write_csv(out / ERAS, [row for each in found for row in each["eras"]], ("window", "era", *FIGURES))
    write_csv(
        out / GROUPS, [row for each in found for row in each["groups"]], ("window", "group", "features", *FIGURES)
    )
    shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)  # they are no part of what the stage made
    return {"size": job.recipe.size, "windows": [each["told"] for each in found]}


def _check(windows: _Windows, position: int) -> None:
    learnt, judged = windows.learnt(position), windows.judged(position)
    if judged and max(map(era_number, learnt)) >= min(map(era_number, judged)):
        raise LeakingCodeError(
            f"the code of window {windows.label(position)} would be learnt up to era {learnt[-1]}, and is judged from "
            f"{judged[0]} on",
            "cut the windows with eraflow.data.eras.walk_forward",
        )


def _window(windows: _Windows, position: int, start: float, stop: float) -> dict[str, Any]:
    """What a window came to, kept or made; its progress lies between `start` and `stop` percent."""
    label = f"code of window {windows.label(position)}"
    kept = _kept(windows, position)
    if kept is None:

        def progress(share: float, detail: str) -> None:
            report(round(start + (stop - start) * share, 2), 100, f"{label} ({detail})")

        kept = _made(windows, position, label, progress)
    report(round(stop, 2), 100, label)
    return kept


def _made(windows: _Windows, position: int, label: str, progress: Step) -> dict[str, Any]:
    began = time.monotonic()
    signature = windows.signature(position)
    checkpoints = windows.out / CHECKPOINTS / signature[:16]
    fitted = fit_code(
        windows.store,
        windows.learnt(position),
        windows.job.recipe,
        plan=windows.plan,
        seed=windows.seed_of(position),
        who=label,
        checkpoints=checkpoints,
        progress=lambda done, total, unit: progress(LEARNING_SHARE * done / total, f"{done} of {total} {unit}"),
    )
    fitted.encoder.save(encoder_folder(windows.out, windows.label(position)))
    codes = _write_codes(windows, position, fitted.encoder, progress)
    figures = _figures(windows, position, fitted)
    figures["told"]["seconds"] = round(time.monotonic() - began, 2)
    note = {"signature": signature, "encoder": fitted.encoder.signature, "codes": file_sha256(codes)}
    write_json(_note(windows, position), {**note, "figures": figures})
    shutil.rmtree(checkpoints, ignore_errors=True)
    return figures


def _write_codes(windows: _Windows, position: int, encoder: Encoder, progress: Step) -> Path:
    """The codes of all rows of the span, tile by tile."""
    store, (first, last) = windows.store, windows.job.spans[position]
    span = store.eras[store.eras.index(first) : store.eras.index(last) + 1]
    x, path = store.matrix(span), codes_file(windows.out, windows.label(position))
    with atomic_path(path) as temporary:
        written = open_memmap(temporary, mode="w+", dtype=np.int8, shape=(len(x), encoder.size))
        for rows in tiles(len(x), tile_rows(x.shape[1], windows.plan.rows_in_memory)):
            written[rows] = encoder.codes(x[rows], threads=windows.plan.threads)
            progress(LEARNING_SHARE + (1 - LEARNING_SHARE) * rows.stop / len(x), f"{rows.stop:,} of {len(x):,} rows")
        written.flush()
    return path


def _figures(windows: _Windows, position: int, fitted: FittedCode) -> dict[str, Any]:
    """What is told of a window: by judged era, by group, and in short."""
    label, threads, judged = windows.label(position), windows.plan.threads, windows.judged(position)
    told = {
        "window": label,
        "active": sum(fitted.health.active),
        "units": len(fitted.health.active),
        "explained_learnt": fitted.health.explained,
        "divergence_learnt": float(fitted.health.divergences.sum()),
        "updates": fitted.updates,
        "explained": None,
        "divergence": None,
    }
    eras, groups = [], []
    found = list(era_figures(fitted.weights, windows.store, judged, fitted.means, threads=threads))
    if found:
        wrong, whole = (sum(float(getattr(each, name).sum()) for _, each in found) for name in ("errors", "variation"))
        told["explained"] = 1 - wrong / whole if whole > 0 else 0.0
        told["divergence"] = float(np.mean([each.divergences.sum() for _, each in found]))
        eras = [
            {"window": label, "era": era, "explained": each.explained(), "divergence": float(each.divergences.sum())}
            for era, each in found
        ]
        groups = _groups(windows, label, judged, fitted)
    return {"told": told, "eras": eras, "groups": groups}


def _groups(windows: _Windows, label: str, judged: Sequence[str], fitted: FittedCode) -> list[dict[str, Any]]:
    sample, threads = sample_of(windows.store, judged), windows.plan.threads
    told = told_of(fitted.weights, sample, fitted.means, threads=threads)
    return [
        {
            "window": label,
            "group": name,
            "features": len(columns),
            "explained": told.explained(columns),
            "divergence": group_divergence(fitted.weights, sample, columns, threads=threads),
        }
        for name, columns in columns_of_groups(windows.job.groups, windows.store.features).items()
    ]


def _note(windows: _Windows, position: int) -> Path:
    return windows.out / f"window-{windows.label(position)}.json"


def _kept(windows: _Windows, position: int) -> dict[str, Any] | None:
    """What an earlier attempt found, or None when the window has to be made."""
    label = windows.label(position)
    try:
        note = json.loads(_note(windows, position).read_text(encoding="utf-8"))
        same = (
            note["signature"] == windows.signature(position)
            and note["encoder"] == Encoder.load(encoder_folder(windows.out, label)).signature
            and note["codes"] == file_sha256(codes_file(windows.out, label))
        )
        return dict(note["figures"]) if same else None
    except (OSError, ValueError, KeyError, TypeError, EraflowError):
        return None
