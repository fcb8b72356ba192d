"""How often the gate errs: `python -m benchmarks gateerrors [--draws 500] [--seed 0]`.

Per-era scores are drawn as overlapping labels make them: moving averages with equal weights over the weeks that labels
overlap (5 for 20 days, 13 for 60). In regimes an AR(1) of .97 holds a tenth of the variance. Standard deviations are
.02 for CORR, .011 for BMC and .012 for MMC; BMC and MMC share 50 and 60 % of CORR's noise variance; MMC is known in the
last 100 eras. An edge has a Sharpe of .54 per era in CORR, a third of that in BMC and two thirds in MMC.

The new series is the benchmark's CORR. Its noise is correlated by .7 with that of the edge's CORR, regimes included.
That is assumed: one LightGBM on real equities and a benchmark that learnt other eras have .53. With that of a worthless
ensemble it is correlated by 0 or by .7; the worse of the two is printed. It is known in 400 eras before the judged ones
too, as Numerai's is (from era 0158; nothing before 0575 is judged), and its Sharpe is .4.

Every draw is judged by the project's own `judge` three times: as before `eraflow.scoring.certificate` was there, with
it, and with it but without the benchmark's history.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from unittest.mock import patch

import numpy as np
from scipy.signal import lfilter

from benchmarks.aims import note
from eraflow.gate import rules
from eraflow.gate.gate import judge
from eraflow.gate.verdict import Verdict
from eraflow.scoring.certificate import Certificate
from eraflow.scoring.scoring import EraScores, ModelScores
from eraflow.scoring.statistics import ewc_interval
from eraflow.settings.gate import GateSettings

NOW = datetime(2026, 12, 1, tzinfo=UTC)
STD = {"corr": 0.02, "bmc": 0.011, "mmc": 0.012}
SHARED = {"bmc": 0.5, "mmc": 0.6}
EDGE = {"corr": 0.54, "bmc": 0.54 / 3, "mmc": 0.54 * 2 / 3}
BENCHMARK_SHARPE, WITH_BENCHMARK = 0.4, 0.7
EARLIER, MMC_ERAS = 400, 100
PHI, REGIME_SHARE = 0.97, 0.1
HORIZONS = {20: 5, 60: 13}
COUNTS = (200, 330, 650)
AIMS = {False: 0.05, True: 0.07}
POWER = 0.8
BLOCKED = "blocked by "


def noise(rng: np.random.Generator, eras: int, weeks: int, *, regimes: bool) -> np.ndarray:
    """float64[eras] of variance 1: a moving average, in regimes mixed with a slow AR(1)."""
    drawn = np.convolve(rng.standard_normal(eras + weeks - 1), np.ones(weeks), "valid") / np.sqrt(weeks)
    if not regimes:
        return drawn
    shocks = rng.standard_normal(eras + 300) * np.sqrt(1 - PHI**2)
    slow = lfilter([1.0], [1.0, -PHI], shocks)[300:]
    return np.asarray(np.sqrt(1 - REGIME_SHARE) * drawn + np.sqrt(REGIME_SHARE) * slow)


def draw(
    rng: np.random.Generator, eras: int, days: int, *, regimes: bool, edge: bool, correlation: float
) -> tuple[ModelScores, EraScores]:
    """The scores of an ensemble, and the benchmark's CORR in the judged eras and those before."""

    def series(count: int = eras) -> np.ndarray:
        return noise(rng, count, HORIZONS[days], regimes=regimes)

    theirs = series(EARLIER + eras)
    own = correlation * theirs[EARLIER:] + np.sqrt(1 - correlation**2) * series()
    found = {
        "corr": own,
        **{name: np.sqrt(share) * own + np.sqrt(1 - share) * series() for name, share in SHARED.items()},
    }
    labels = tuple(f"{number:04d}" for number in range(1, EARLIER + eras + 1))
    per_era = {}
    for name, values in found.items():
        scores = STD[name] * (values + (EDGE[name] if edge else 0.0))
        kept = scores[-MMC_ERAS:] if name == "mmc" else scores
        per_era[name] = EraScores(labels[-len(kept) :], tuple(kept.tolist()))
    history = EraScores(labels, tuple((STD["corr"] * (theirs + BENCHMARK_SHARPE)).tolist()))
    return ModelScores(f"target_x_{days}", days, eras, 0, (), per_era, {}), history


def verdict_on(scores: ModelScores, history: EraScores, days: int, *, before: bool = False) -> Verdict:
    """What the gate says, by its defaults; `before` the certificate of today."""
    settings = GateSettings(max_exposure=None)

    def plain(values: object, overlap: int, confidence: float, **_: object) -> Certificate:
        return Certificate(ewc_interval(values, overlap, confidence))  # type: ignore[arg-type]

    with patch.object(rules, "certificate", plain) if before else nullcontext():
        return judge(
            scores,
            champion=None,
            settings=settings,
            horizon_days=days,
            ensemble_signature="drawn",
            round_number=1,
            models_trained=1,
            models_wanted=1,
            now=NOW,
            history=EraScores((), ()) if before else history,
        )


def cells() -> Iterator[tuple[int, int, bool]]:
    """Days, eras, regimes."""
    for regimes in (False, True):
        for days in HORIZONS:
            for eras in COUNTS:
                yield days, eras, regimes


def passes(
    days: int, eras: int, draws: int, *, regimes: bool, edge: bool, correlation: float, seed: int = 0
) -> dict[str, float]:
    """How many of the draws pass, before, with and without history; and how many each rule blocks with it."""
    cell = [days, eras, int(regimes), int(edge), round(10 * correlation)]
    rng = np.random.default_rng([*cell, *([seed] if seed else [])])
    counted: Counter[str] = Counter()
    for _ in range(draws):
        scores, history = draw(rng, eras, days, regimes=regimes, edge=edge, correlation=correlation)
        now = verdict_on(scores, history, days)
        counted["before"] += verdict_on(scores, history, days, before=True).passed
        counted["now"] += now.passed
        counted["without"] += verdict_on(scores, EraScores((), ()), days).passed
        counted.update(f"{BLOCKED}{rule.name}" for rule in now.rules if not rule.passed)
    return {name: count / draws for name, count in counted.items()}


def main() -> None:
    """Print every cell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0, help="other draws than those that the bounds were made with")
    arguments = parser.parse_args()
    draws, seed = arguments.draws, arguments.seed
    print(f"{draws} draws a cell; standard error of a rate near 5 %: {np.sqrt(0.05 * 0.95 / draws):.1%}")
    print("passes:                worthless                          edge, Sharpe .54")
    print(
        "days eras regimes   before  now  without history      before  now  without history   rules that stop the edge"
    )
    missed = []
    for days, eras, regimes in cells():
        nothing = [
            passes(days, eras, draws, regimes=regimes, edge=False, correlation=r, seed=seed)
            for r in (0.0, WITH_BENCHMARK)
        ]
        worthless = {name: max(each.get(name, 0.0) for each in nothing) for name in ("before", "now", "without")}
        edge = passes(days, eras, draws, regimes=regimes, edge=True, correlation=WITH_BENCHMARK, seed=seed)
        stopped = {
            name.removeprefix("blocked by "): share for name, share in edge.items() if name.startswith("blocked")
        }
        told = ", ".join(f"{name} {share:.1%}" for name, share in sorted(stopped.items(), key=lambda each: -each[1]))
        row = "  ".join(
            f"{found.get('before', 0):6.1%} {found.get('now', 0):6.1%} {found.get('without', 0):6.1%}         "
            for found in (worthless, edge)
        )
        print(f"{days:4} {eras:4} {regimes!s:7}  {row} {told}", flush=True)
        if worthless["now"] > AIMS[regimes]:
            missed.append(f"{days} days, {eras} eras: {worthless['now']:.1%} worthless")
        if (days, eras) == (60, 330) and edge["now"] < POWER:
            missed.append(f"{days} days, {eras} eras: {edge['now']:.1%} of the edge")
    note(
        "gate, 12 cells",
        "worthless at most 5 % (7 % in regimes), edge at least 80 %",
        "; ".join(missed) or "all",
        not missed,
    )


if __name__ == "__main__":
    main()
