"""Scores of past submissions, which grow day by day as Numerai's do: by numerai-tools' own functions.

Scored is the selected submission of a model and round, on the ids that were live then, and nothing that was not
submitted. The first score comes `LAG` trading days after the round has closed, the last one when the horizon is over.
What Numerai shows of oddities is shown here: in some rounds the first days come late and together, some days are told
twice, a day that is not scored yet may stand there without a value, the percentile is missing on the first days, and
the newest days of some rounds are provisional and revised two days later.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr

from eraflow.disk.atomic import write_json
from eraflow.disk.jsonobject import read_object
from eraflow.disk.plainpaths import read_csv
from eraflow.sandbox.calendar import iso
from eraflow.sandbox.outcomes import META_MODEL, read_outcome
from eraflow.sandbox.partialtargets import RunningTarget

LAG = 2
"""Trading days between the close of a round and the day its first score is of."""
HORIZONS = (60, 20)
METRICS = ("corr", "mmc", "bmc")
NO_PERCENTILE = 3  # days
LATE_DAYS = 4  # of every fourth round, the first days come together
PROVISIONAL = 2  # days after which a provisional value is put right
SPREAD = {"corr": 0.02, "mmc": 0.012, "bmc": 0.011}
"""Standard deviation of a score over the field, for the percentile: a normal field around nought."""
_TARGET = re.compile(r"target_(\w+)_(?:20|60)")


class ScoreBook:
    """The scores of every submission.

    Args:
        folder: of the served data, with what became of its rounds.
        kept: where values that were computed are kept, a file a submission.
    """

    def __init__(self, folder: Path, kept: Path) -> None:
        self._folder, self._kept = folder, kept

    def of(self, submission: Mapping[str, Any], csv: Path | None, now: float) -> list[dict[str, Any]]:
        """The rows of one selected submission as the API's `SubmissionScore`, the newest day first.

        Args:
            submission: the sandbox's record of it.
            csv: what was uploaded.
            now: seconds since 1970, at the tournament.
        """
        closed = submission.get("closes")
        if closed is None or csv is None:
            return []
        first, days = _moment(float(closed)), trading_days(float(closed), now)
        if days < 1 or (submission["round"] % 4 == 1 and days < LATE_DAYS):
            return []
        values = self._values(submission, csv, days)
        return [row for name, found in values.items() for row in _rows(name, found, submission, first, days)][::-1]

    def _values(self, submission: Mapping[str, Any], csv: Path, days: int) -> dict[str, list[float]]:
        """Score name -> value of each day until now; what was computed before is read back."""
        place = self._kept / f"{submission['id']}.json"
        known: dict[str, list[float]] = read_object(place) or {}
        if known and all(len(known[name]) >= min(days, _horizon(name)) for name in known):
            return {name: found[:days] for name, found in known.items()}
        grown = self._grown(submission, csv, days, known)
        if grown:
            write_json(place, grown)
        return grown

    def _grown(
        self, submission: Mapping[str, Any], csv: Path, days: int, known: Mapping[str, list[float]]
    ) -> dict[str, list[float]]:
        outcome = read_outcome(self._folder, int(submission["round"]))
        if outcome is None:
            return {}
        predicted = read_csv(csv, text=["id"])
        joined = predicted.join(outcome, on="id", how="inner").sort("id")
        if joined.height != predicted.height:
            return {}
        frame = joined.to_pandas().set_index("id")
        found: dict[str, list[float]] = {}
        for horizon in HORIZONS:
            found |= _scored(frame, submission, horizon, min(days, horizon), known)
        return found


def trading_days(closed: float, now: float) -> int:
    """Trading days (Monday to Friday) that are scored by now of a round that closed then; negative before."""
    begin, today = (np.datetime64(_moment(at).date(), "D") for at in (closed, now))
    return int(np.busday_count(begin, today)) - LAG


def _scored(
    frame: pd.DataFrame, submission: Mapping[str, Any], horizon: int, days: int, known: Mapping[str, list[float]]
) -> dict[str, list[float]]:
    named = _TARGET.fullmatch(str(submission.get("target")))
    column = f"target_{named[1] if named else 'ender'}_{horizon}"
    benchmark = next((name for name in frame.columns if name.endswith(f"_lgbm_ender{horizon}")), None)
    if column not in frame.columns:
        return {}
    walk = RunningTarget(frame[column].to_numpy(), horizon, [int(submission["round"]), horizon])
    others = {"corr": None, "mmc": META_MODEL, "bmc": benchmark}
    found = {}
    for metric in METRICS:
        if metric != "corr" and others[metric] not in frame.columns:
            continue
        values = list(known.get(f"{metric}{horizon}", []))
        values += [_score(frame, walk.on(day), metric, others[metric]) for day in range(len(values) + 1, days + 1)]
        found[f"{metric}{horizon}"] = values
    return found


def _score(frame: pd.DataFrame, target: np.ndarray, metric: str, other: str | None) -> float:
    from numerai_tools.scoring import correlation_contribution, numerai_corr  # imports scikit-learn

    resolved = pd.Series(target, index=frame.index, name="target").dropna()
    predictions = frame.loc[resolved.index, ["prediction"]]
    if other is None:
        return float(numerai_corr(predictions, resolved).iloc[0])
    return float(correlation_contribution(predictions, frame.loc[resolved.index, other], resolved).iloc[0])


def _rows(
    name: str, values: list[float], submission: Mapping[str, Any], closed: datetime, days: int
) -> Iterator[dict[str, Any]]:
    number, horizon = int(submission["round"]), _horizon(name)
    begin = np.datetime64(closed.date(), "D")
    for day in range(1, min(days, horizon) + 1):
        value = values[day - 1]
        if _is_provisional(number, day, days, horizon):
            value = values[max(day - 2, 0)]
        yield _row(name, value, day, submission, begin, closed)
    if number % 3 == 1:
        yield _row(name, values[min(days, horizon) - 1], min(days, horizon), submission, begin, closed)
    if number % 3 == 0 and days < horizon:
        yield _row(name, None, days + 1, submission, begin, closed)


def _is_provisional(number: int, day: int, days: int, horizon: int) -> bool:
    """Whether a day's value is still to be put right."""
    return 1 < day < horizon and day > days - PROVISIONAL and (number + day) % 5 == 0


def _row(
    name: str, value: float | None, day: int, submission: Mapping[str, Any], begin: np.datetime64, closed: datetime
) -> dict[str, Any]:
    horizon, number = _horizon(name), int(submission["round"])
    scored_on = np.busday_offset(begin, day + LAG, roll="forward")
    at = iso(datetime.fromisoformat(f"{scored_on}T21:00:00+00:00"))
    percentile = None
    if value is not None and day > NO_PERCENTILE:
        percentile = float(ndtr(value / SPREAD[name.rstrip("0123456789")]))
    return {
        "roundId": f"round-{number}",
        "submissionId": submission["id"],
        "roundNumber": number,
        "roundResolveTime": iso(closed + timedelta(days=88)),
        "roundScoreTime": iso(closed + timedelta(days=6)),
        "roundCloseStakingTime": iso(closed),
        "value": value,
        "percentile": percentile,
        "displayName": name,
        "version": "1",
        "date": at,
        "day": day,
        "resolveDate": iso(closed + timedelta(days=88)),
        "resolved": day >= horizon,
    }


def chosen_rows(
    rows: list[dict[str, Any]],
    *,
    displayName: str | None = None,
    version: str | None = None,
    day: int | None = None,
    resolved: bool | None = None,
    lastNRounds: int | None = None,
    distinctOnRound: bool | None = None,
) -> list[dict[str, Any]]:
    """The rows that the arguments of the question leave, by their names in the protocol; newest round and day first."""
    wanted = {"displayName": displayName, "version": version, "day": day, "resolved": resolved}
    left = [row for row in rows if all(value in (None, row[key]) for key, value in wanted.items())]
    left.sort(key=lambda row: (-row["roundNumber"], -row["day"]))
    if lastNRounds is not None and left:
        newest = max(row["roundNumber"] for row in left)
        left = [row for row in left if row["roundNumber"] > newest - lastNRounds]
    if distinctOnRound:
        left = list({row["roundNumber"]: row for row in reversed(left)}.values())[::-1]
    return left


def _horizon(name: str) -> int:
    return int(name[-2:])


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
