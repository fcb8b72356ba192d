"""How often a challenger is promoted in a year: `python -m benchmarks.contest [--draws 500]`.

The differences of challenger and champion, era by era, are drawn as in `benchmarks.gateerrors`: moving averages over
the weeks that labels overlap, in regimes mixed with a slow AR(1). 330 eras are judged in the first week and one more in
each of 52; the rule of `eraflow.scoring.contest` with its defaults is asked every week. An edge is told as the Sharpe
of the differences. Promotions back are counted too: the same looks with the sign turned, from the promotion on.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks.aims import note
from benchmarks.gateerrors import HORIZONS, noise
from eraflow.scoring.contest import Look, contest_decision
from eraflow.scoring.statistics import ewc_interval
from eraflow.settings.contest import ContestSettings

ERAS, WEEKS, MOST_FALSE = 330, 52, 0.05
SHARPES = (0.0, 0.2, 0.3, 0.5)


def promotions(differences: np.ndarray, overlap: int, rule: ContestSettings) -> int:
    """How many promotions, there and back, a year of weekly looks makes."""
    sign, looks, made = 1.0, [], 0
    for week in range(WEEKS):
        bound = ewc_interval(sign * differences[: ERAS + week + 1], overlap, rule.confidence)
        looks.append(Look(week, "challenger", True, bound.eras, bound.mean, bound.low))
        if contest_decision(looks, rule.margin, rule.weeks).promoted:
            sign, looks, made = -sign, [], made + 1
    return made


def main() -> None:
    """Print every cell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=500)
    draws, rule = parser.parse_args().draws, ContestSettings()
    print(f"{draws} draws; bound {rule.confidence:.1%} above {rule.margin:+.3f} in {rule.weeks} successive weeks")
    print("days  regimes  Sharpe  promoted in a year  and back")
    for days, overlap in HORIZONS.items():
        for regimes in (False, True):
            rng = np.random.default_rng(11)
            drawn = [noise(rng, ERAS + WEEKS, overlap, regimes=regimes) for _ in range(draws)]
            for sharpe in SHARPES:
                made = np.array([promotions(one + sharpe, overlap, rule) for one in drawn])
                there, back = float((made > 0).mean()), float((made > 1).mean())
                print(f"{days:4d}  {'yes' if regimes else 'no':7s}  {sharpe:6.1f}  {there:18.3f}  {back:8.3f}")
                if sharpe == 0:
                    where = f"{days} days{', regimes' if regimes else ''}"
                    note(
                        f"equal challenger promoted, {where}",
                        f"at most {MOST_FALSE:.2f}",
                        f"{there:.3f}",
                        there <= MOST_FALSE,
                    )


if __name__ == "__main__":
    main()
