"""Do live scores stay within what the backtest promised? A look every day, with an error rate that is stated.

A score of day d of a horizon H is that of a return so far: sqrt(d / H) times the score, A(d), grows like a random walk
whose drift over the horizon is the promised mean. Rounds that are open on the same days share those days' returns, as
overlapping eras do; so the sum over rounds

    G(t) = sum_i (A_i(t) - mu_i d_i(t) / H) / omega_i

has independent steps and the variance V(t) = 5 sum_days (rounds open that day / H)^2, where omega^2 is the long-run
variance of weekly eras that the backtest shows (EWC). A day's step has omega^2 5 / H^2 of it for each open round
squared, because H / 5 weekly rounds overlap. The promised mean is itself an estimate from n eras, which adds F^2 / n
with F = sum_i d_i / H. Then G / sqrt(V + F^2 / n) is compared with Student's t of the degrees of freedom that the
estimate has. Scores are standing lower than promised when its probability is below `rate / LOOKS`.

Rounds are watched a year at a time, each year anew. A year of daily looks holds about `LOOKS` independent ones: with
that, `benchmarks/livealarm.py` simulates the false alarms of a year, and what the watch sees.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import stdtr, stdtrit

from eraflow.livescores.promise import LivePromise
from eraflow.scoring.statistics import min_eras, overlap_weeks

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

RATE = 0.05
"""Chance that scores which are as promised raise an alarm within a year of rounds, looked at every day."""
LOOKS = 25.0
"""How many independent looks a year of daily ones counts for: with it the simulated cells lie around `RATE`."""
YEAR = 261
"""Trading days."""
DAYS_A_WEEK = 5


@dataclass(frozen=True)
class ScoredRounds:
    """The rounds of one slot and year, their scores day by day.

    Attributes:
        numbers: round numbers, in the order of the first axis below.
        begins: int64[r], trading day (counted from 1970) on which the horizon of the round begins.
        today: int64[t], trading days of the looks, in order.
        days: int64[r, t], how many days of a round are scored at a look.
        values: float64[r, t], its score then; 0 before the first.
        horizon: trading days.
        mean, omega: float64[r], what was promised: mean score, root of the long-run variance of weekly eras.
        eras, degrees: of the promise; the fewest of any round.
    """

    numbers: tuple[int, ...]
    begins: IntArray
    today: IntArray
    days: IntArray
    values: FloatArray
    horizon: int
    mean: FloatArray
    omega: FloatArray
    eras: int
    degrees: int


@dataclass(frozen=True)
class LiveStanding:
    """Where the live scores of a year stand, look by look.

    Attributes:
        dates: of the looks, as datetime64[D].
        rounds: round numbers.
        total: float64[t], sum of sqrt(d / H) times the score: the sum of scores once all are final.
        expected: float64[t], what was promised of it.
        band: float64[t], half of the width between which nine of ten looks lie.
        chance: float64[t], how likely scores as low as these are where the promise holds.
        level: below which chance an alarm is raised.
    """

    dates: npt.NDArray[np.datetime64]
    rounds: tuple[int, ...]
    total: FloatArray
    expected: FloatArray
    band: FloatArray
    chance: FloatArray
    level: float

    @property
    def alarm(self) -> int | None:
        """The first look at which scores were lower than the promise allows; None: at none."""
        low = np.flatnonzero(self.chance < self.level)
        return int(low[0]) if low.size else None


def standing(rounds: ScoredRounds, rate: float = RATE) -> LiveStanding:
    """Compare with the promise at every look."""
    share = rounds.days / rounds.horizon
    grown = np.sqrt(share) * rounds.values
    weight = 1.0 / rounds.omega[:, None]
    gap = ((grown - rounds.mean[:, None] * share) * weight).sum(axis=0)
    exposed = share.sum(axis=0)
    variance = _information(rounds) + exposed**2 / rounds.eras
    deviation = np.sqrt(np.maximum(variance, 1e-12))
    chance = np.where(exposed > 0, stdtr(rounds.degrees, gap / deviation), 0.5)
    scale = float(np.mean(rounds.omega)) if len(rounds.omega) else 0.0
    return LiveStanding(
        np.busday_offset("1970-01-01", rounds.today, roll="forward").astype("datetime64[D]"),
        rounds.numbers,
        grown.sum(axis=0),
        (rounds.mean[:, None] * share).sum(axis=0),
        float(stdtrit(rounds.degrees, 0.95)) * deviation * scale,
        chance,
        rate / LOOKS,
    )


def _information(rounds: ScoredRounds) -> FloatArray:
    """V of the formula above, float64[t]."""
    first = int(rounds.begins.min())
    length = int((rounds.begins + rounds.days.max(axis=1)).max()) - first + 2
    found = np.empty(len(rounds.today))
    for look in range(len(rounds.today)):
        steps = np.zeros(length)
        np.add.at(steps, rounds.begins - first, 1.0)
        np.add.at(steps, rounds.begins - first + rounds.days[:, look], -1.0)
        found[look] = DAYS_A_WEEK * np.sum((np.cumsum(steps) / rounds.horizon) ** 2)
    return found


def scored_rounds(
    newest: pl.DataFrame, promised: Mapping[str, LivePromise], metric: str = "corr"
) -> list[ScoredRounds]:
    """The rounds of a slot that something was promised of, a year at a time, the oldest first.

    A promise of too few eras for an interval is none: see `min_eras`. Rounds of another horizon than that of the
    newest promise begin a year of their own.

    Args:
        newest: rows of the store, one a round, submission, score and day.
        promised: submission id -> promise.
        metric: which score is watched.
    """
    usable = {key: each for key, each in promised.items() if _usable(each, metric)}
    by_horizon: dict[int, list[LivePromise]] = {}
    for each in usable.values():
        by_horizon.setdefault(each.horizon_days, []).append(each)
    found = []
    for horizon, group in sorted(by_horizon.items()):
        rows = newest.filter(pl.col("score") == f"{metric}{horizon}").sort("day")
        scored = {str(key[0]): part for key, part in rows.group_by("submission")}
        courses = sorted(
            ((*_course(scored[each.submission]), each) for each in group if each.submission in scored),
            key=lambda course: (course[0], course[3].round_number),
        )
        found += [_rounds(year, horizon, metric) for year in _years(courses)]
    return sorted(found, key=lambda rounds: int(rounds.begins[0]))


def _usable(promise: LivePromise, metric: str) -> bool:
    values = promise.per_era.get(metric) or []
    return len(values) >= min_eras(overlap_weeks(promise.horizon_days)) and float(np.ptp(values)) > 0


_Course = tuple[int, IntArray, FloatArray, LivePromise]


def _course(rows: pl.DataFrame) -> tuple[int, IntArray, FloatArray]:
    """Trading day on which the horizon begins, the days that are scored, and the score of each."""
    days = rows["day"].to_numpy().astype(np.int64)
    last = rows["date"].dt.date().to_numpy()[-1].astype("datetime64[D]")
    begin = int(np.busday_count(np.datetime64("1970-01-01"), last)) - int(days[-1])
    return begin, days, rows["value"].to_numpy()


def _years(courses: Sequence[_Course]) -> list[list[_Course]]:
    years: list[list[_Course]] = []
    for course in courses:
        if not years or course[0] >= years[-1][0][0] + YEAR:
            years.append([])
        years[-1].append(course)
    return years


def _rounds(year: Sequence[_Course], horizon: int, metric: str) -> ScoredRounds:
    begins = np.array([course[0] for course in year])
    last = max(begin + int(days[-1]) for begin, days, _, _ in year)
    today = np.arange(begins.min() + 1, last + 1)
    scored, values = np.zeros((len(year), len(today)), np.int64), np.zeros((len(year), len(today)))
    for place, (begin, days, told, _) in enumerate(year):
        at = np.searchsorted(days, today - begin, side="right") - 1
        known = at >= 0
        scored[place, known], values[place, known] = days[at[known]], told[at[known]]
    variances = [promise.long_run(metric) for *_, promise in year]
    return ScoredRounds(
        tuple(promise.round_number for *_, promise in year),
        begins,
        today,
        scored,
        values,
        horizon,
        np.array([promise.mean(metric) for *_, promise in year]),
        np.sqrt([each.variance for each in variances]),
        min(each.eras for each in variances),
        min(each.degrees for each in variances),
    )
