"""The watch over live scores, simulated: false alarms of a year of daily looks, and what it sees when the edge is gone.

The returns of a day are drawn; a backtest of weekly eras and 52 weekly rounds of live scores are made of them, and each
day of the year is looked at as in use. With regimes, an AR(1) of .97 from week to week holds a tenth of the variance.

    python -m benchmarks.livealarm
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.aims import note
from eraflow.livescores.watch import RATE, ScoredRounds, standing
from eraflow.scoring.statistics import long_run_variance, overlap_weeks

DRAWS = 500
MOST = 0.07  # two standard errors of 500 draws above the stated rate
WEEKS = 52
SPREAD = 0.02  # standard deviation of a round's CORR
SHARPE = 0.54  # of v53_lgbm_ender60 per era
REGIME = 0.1, 0.97  # share of the variance, and what of it stays from week to week


@dataclass(frozen=True)
class AlarmCell:
    """One row of the table: what is simulated, and in what share of the years there was an alarm."""

    horizon: int
    eras: int
    regimes: bool
    live: float
    alarms: float


def alarm_rate(horizon: int, eras: int, live: float, *, regimes: bool, draws: int = DRAWS, seed: int = 1) -> AlarmCell:
    """The share of simulated years with an alarm.

    Args:
        horizon: trading days, 20 or 60.
        eras: of the backtest.
        live: the mean of live scores as a share of the one in the backtest: 1 as promised, 0 gone, -1 turned round.
        regimes: whether a slow regime is mixed in.
        draws: simulated years.
        seed: of the random numbers.
    """
    rng = np.random.default_rng([seed, horizon, eras, int(regimes), round(10 * live) + 100])
    alarms = sum(standing(_year(horizon, eras, live, rng, regimes=regimes)).alarm is not None for _ in range(draws))
    return AlarmCell(horizon, eras, regimes, live, alarms / draws)


def _year(horizon: int, eras: int, live: float, rng: np.random.Generator, *, regimes: bool) -> ScoredRounds:
    gap = horizon // 5
    weeks = eras + gap + WEEKS + gap + 1
    share, stays = REGIME if regimes else (0.0, 0.0)
    noise = SPREAD * np.sqrt((1 - share) / horizon) * rng.standard_normal(5 * weeks + horizon)
    walk = np.concatenate([[0.0], np.cumsum(noise)])
    slow = SPREAD * np.sqrt(share) * _persistent(weeks, stays, rng)
    mean = SHARPE * SPREAD
    tested = np.array([walk[5 * era + horizon] - walk[5 * era] + slow[era] for era in range(eras)]) + mean
    variance = long_run_variance(tested, overlap_weeks(horizon))
    begins = 5 * (eras + gap) + 5 * np.arange(WEEKS)
    today = np.arange(begins[0] + 1, begins[-1] + horizon + 1)
    days = np.clip(today[None, :] - begins[:, None], 0, horizon)
    drift = (live * mean + slow[eras + gap : eras + gap + WEEKS])[:, None] * days / horizon
    grown = walk[begins[:, None] + days] - walk[begins][:, None] + drift
    values = np.divide(grown, np.sqrt(days / horizon), out=np.zeros_like(grown), where=days > 0)
    return ScoredRounds(
        tuple(range(WEEKS)),
        begins,
        today,
        days,
        values,
        horizon,
        np.full(WEEKS, tested.mean()),
        np.full(WEEKS, np.sqrt(variance.variance)),
        eras,
        variance.degrees,
    )


def _persistent(weeks: int, stays: float, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    steps = rng.standard_normal(weeks)
    found = np.empty(weeks)
    found[0] = steps[0]
    for week in range(1, weeks):
        found[week] = stays * found[week - 1] + np.sqrt(1 - stays**2) * steps[week]
    return found


def main() -> None:
    """Print the table, a line a cell."""
    print(f"a year of daily looks, stated rate {RATE:.0%}, {DRAWS} draws a cell: years with an alarm")
    print("horizon  eras  regimes  as promised  edge gone  turned round")
    rates = []
    for horizon in (20, 60):
        for eras in (200, 330, 650):
            for regimes in (False, True):
                shares = [alarm_rate(horizon, eras, live, regimes=regimes).alarms for live in (1.0, 0.0, -1.0)]
                told = f"{shares[0]:>11.1%}  {shares[1]:>9.0%}  {shares[2]:>12.0%}"
                print(f"{horizon:>7}  {eras:>4}  {'yes' if regimes else 'no':>7}  {told}", flush=True)
                rates.append(shares[0])
    note("false alarms over live scores a year", f"<= {MOST:.0%}", f"{max(rates):.1%} at most", max(rates) <= MOST)


if __name__ == "__main__":
    main()
