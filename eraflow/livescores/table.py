"""One line a submission: what it has scored so far, and what its backtest promised."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from eraflow.livescores.promise import LivePromise, promises
from eraflow.livescores.store import SlotScores
from eraflow.scoring.payout import TODAY, payout_of

_NAMED = re.compile(r"(corr|mmc|bmc)(\d+)")


@dataclass(frozen=True)
class LiveLine:
    """A submission and its newest scores; a figure that is not known is None.

    Attributes:
        round_number, slot, submission: which.
        day: trading days that are scored, of `horizon_days`.
        horizon_days: of the score, 20 or 60 trading days.
        corr, mmc, bmc: the newest value of each.
        payout: what the round's multipliers make of them, as a share of the stake, before the payout factor.
        percentile: of CORR among all participants, 0 to 1.
        resolved: whether the scores are final.
        promised_corr, promised_payout: mean of the backtest of the ensemble that was sent.
        promised_low, promised_high: what nine of ten eras of that backtest lay between, CORR.
    """

    round_number: int
    slot: str
    submission: str
    day: int
    horizon_days: int
    corr: float | None
    mmc: float | None
    bmc: float | None
    payout: float | None
    percentile: float | None
    resolved: bool
    promised_corr: float | None = None
    promised_low: float | None = None
    promised_high: float | None = None
    promised_payout: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def live_lines(slot: SlotScores, promised: Mapping[str, LivePromise] | None = None) -> list[LiveLine]:
    """The submissions of a slot, the newest round first; the promises are read where they are not given."""
    promised = promises(slot.folder) if promised is None else promised
    newest = slot.newest().sort("day").group_by("round", "submission", "score", maintain_order=True).last()
    lines = [
        _line(slot, int(str(number)), str(submission), rows, promised.get(str(submission)))
        for (number, submission), rows in newest.group_by("round", "submission")
    ]
    return sorted(lines, key=lambda line: (-line.round_number, line.submission))


def horizon_of(names: Iterator[str] | list[str], promise: LivePromise | None) -> int:
    """Of which horizon the scores of a submission are read: that of its promise, else the longest one told."""
    told = [int(named[2]) for name in names if (named := _NAMED.fullmatch(name))]
    if promise is not None and promise.horizon_days in told:
        return promise.horizon_days
    return max(told, default=60)


def _line(slot: SlotScores, number: int, submission: str, rows: pl.DataFrame, promise: LivePromise | None) -> LiveLine:
    found = {str(row["score"]): row for row in rows.iter_rows(named=True)}
    horizon = horizon_of(list(found), promise)
    values = {metric: (found.get(f"{metric}{horizon}") or {}).get("value") for metric in ("corr", "mmc", "bmc")}
    corr: Mapping[str, Any] = found.get(f"corr{horizon}") or {}
    bounds = (None, None) if promise is None else promise.usual("corr")
    return LiveLine(
        number,
        slot.name,
        submission,
        int(corr.get("day") or 0),
        horizon,
        values["corr"],
        values["mmc"],
        values["bmc"],
        _paid(values["corr"], values["mmc"], promise),
        corr.get("percentile"),
        bool(corr.get("resolved")),
        None if promise is None else promise.mean("corr"),
        bounds[0],
        bounds[1],
        None if promise is None else promise.mean("payout"),
    )


def _paid(corr: float | None, mmc: float | None, promise: LivePromise | None) -> float | None:
    if corr is None or mmc is None:
        return None
    multipliers = {} if promise is None else promise.multipliers
    return float(payout_of(multipliers).of(corr, mmc)) if multipliers else float(TODAY.of(corr, mmc))
