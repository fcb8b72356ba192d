"""What bags are worth on a folder of real data, beside the example settings retrained alike and the supplied benchmark.

    python -m benchmarks.bagmarket --market FOLDER --work FOLDER [--kinds lightgbm,xgboost,catboost] [--example KINDS]

Each kind of booster is fitted out of fold as its usual bag (eraflow/settings/bag.py), on all features and once more on
the set `medium`, and those named by --example once more as one fit with the learner's defaults, on `all`. The windows
expand, and each recipe of a bag is told by itself, too. Each window that is done is kept in `--work`; the same command
goes on after a kill. Payout is 3 CORR + 15 MMC; bounds and comparisons are of what is paid, at most 1 either way in an
era.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.networkmarket import META_MODEL, Comparison, Market, Values, lay_out
from benchmarks.ownprocess import in_child
from eraflow.data.memberbag import cut_bag
from eraflow.data.membereras import Member
from eraflow.disk.atomic import write_bytes, write_json
from eraflow.disk.digest import file_sha256, value_sha256
from eraflow.erastore.erareader import EraStore
from eraflow.machine.plan import Plan
from eraflow.scoring.payout import TODAY
from eraflow.scoring.ranking import EraGroups
from eraflow.scoring.statistics import ewc_interval, long_run_variance, paired_comparison
from eraflow.settings.bag import RUN, BagSettings
from models.bags.bagmodel import BagModel
from models.bags.ranks import ranks_within_eras
from models.base.wholeeras import predict_in_eras
from models.ensembles.rankblend import rank_gaussian_blend
from models.training.trainer import Trainer

EXAMPLE = "example settings"
SEED = 7


def member_of(kind: str, market: Market, sets: Mapping[str, Sequence[str]], *, bag: bool) -> Member:
    """A member on all features: its usual bag on these and on `medium`, or one fit with the learner's defaults."""
    features = EraStore.open(market.store).features
    member = Member(kind, kind, {}, market.target, market.windows, market.windows[0].train)
    asked = BagSettings(standard=True, feature_sets=[RUN, "medium"]) if bag else BagSettings()
    found = cut_bag(asked, kind, {}, features, sets, "all")
    return replace(member, bag=found)


def fit_window(member: Member, store: Path, out: Path, position: int) -> dict[str, list[list[float]]]:
    """Fit one window; gives each part's ranks in the judged eras (of a single fit: one part)."""
    trainer = Trainer(out, EraStore.open(store), member, SEED, Plan(threads=1))
    window = member.windows[position]
    model: Any = trainer.fit(window.train, position, lambda *_: None)
    offsets, x = trainer.store.offsets(window.test), trainer.store.matrix(window.test)
    models = [part.model for part in model.fitted] if isinstance(model, BagModel) else [model]
    groups = EraGroups(offsets)
    return {"ranks": [ranks_within_eras(predict_in_eras(one, x, offsets), groups).tolist() for one in models]}


def fitted(options: argparse.Namespace, market: Market, member: Member) -> tuple[Values, float]:
    """float64[parts, rows] over all windows, and the CPU seconds; from `--work` where they are there."""
    found, seconds = [], 0.0
    for position, window in enumerate(member.windows):
        parts = Trainer(options.work, EraStore.open(market.store), member, SEED, Plan()).bag_parts(position)
        what = [
            member.kind,
            member.params,
            None if parts is None else [part.described() for part in parts],
            [window.train[0], window.train[-1], window.test[0], window.test[-1]],
            {name: file_sha256(options.market / name) for name in ("train.parquet", "validation.parquet")},
        ]
        place = options.work / f"{member.kind}-{position}-{value_sha256(what)[:16]}"
        if not place.with_suffix(".json").exists():
            told, cpu, peak = in_child(fit_window, member, market.store, place, position)
            write_bytes(place.with_suffix(".ranks"), np.array(told["ranks"]).tobytes())
            write_json(place.with_suffix(".json"), {"cpu_seconds": cpu, "peak_mib": peak, "parts": len(told["ranks"])})
        took = json.loads(place.with_suffix(".json").read_text())
        found.append(np.frombuffer(place.with_suffix(".ranks").read_bytes()).reshape(took["parts"], -1))
        seconds += float(took["cpu_seconds"])
    return np.concatenate(found, axis=1), seconds


class Table:
    """The lines of all procedures, each against the example settings and the supplied benchmark."""

    def __init__(self, market: Market) -> None:
        self.compared = Comparison(market)
        store = EraStore.open(market.store)
        self.reference: Values | None = None
        self.uncut = 0.0
        supplied = store.column(market.benchmark, self.compared.eras)
        self.supplied = self.payout(supplied)
        print(f"{store.describe()}; {len(self.compared.eras)} judged eras, meta model {META_MODEL}")
        self.line("supplied benchmark", supplied, None)

    def payout(self, values: Values) -> Values:
        """float64[e]."""
        return np.asarray(TODAY.of(self.compared.corr([values]), self.compared.contribution([values], meta=True)))

    def line(self, name: str, values: Values, cpu: float | None) -> None:
        """Print a procedure; the first example settings are what the later ones are compared with."""
        corr, mmc = self.compared.corr([values]), self.compared.contribution([values], meta=True)
        paid = self.payout(values)
        own = ewc_interval(paid, self.compared.overlap)
        uncut = TODAY.corr * corr.mean() + TODAY.mmc * mmc.mean()
        self.uncut = self.uncut or uncut  # the first line is that of the benchmark
        told = [
            f"CORR {corr.mean():.4f}  MMC {mmc.mean():.4f}  payout {uncut:.3f}, {uncut / self.uncut:.2f} x benchmark",
            f"paid {own.mean:.3f} ({own.low:.3f} to {own.high:.3f})",
            f"to the benchmark {self.against(paid, self.supplied)}",
            "" if self.reference is None else f"to the example {self.against(paid, self.reference)}",
            "" if cpu is None else f"{cpu:.0f} CPU s",
        ]
        print(f"{name:44}" + "; ".join(one for one in told if one), flush=True)
        if name.endswith(EXAMPLE) and self.reference is None:
            self.reference = paid

    def against(self, mine: Values, other: Values) -> str:
        """The paired difference with its one-sided 95 % bounds."""
        if mine is other or np.array_equal(mine, other):
            return "itself"
        found = paired_comparison(mine, other, self.compared.overlap)
        spread = long_run_variance(mine - other, self.compared.overlap)
        t = found.difference / float(np.sqrt(spread.variance / spread.eras))
        return f"{found.difference:+.3f} ({found.interval.low:+.3f} to {found.interval.high:+.3f}, t {t:.1f})"


def tell_bag(table: Table, kind: str, member: Member, ranks: Values, cpu: float) -> Values:
    """The lines of a bag: each recipe on each set, and the whole; gives the whole."""
    if member.bag is None:
        raise ValueError("a bag is told of a bag")
    place, each = 0, []
    for name in (each.name for each in member.bag.sets):
        for recipe in member.bag.recipes:
            mine = ranks[place : place + recipe.era_step].mean(axis=0)
            place += recipe.era_step
            table.line(f"  {kind}, {recipe.params['n_estimators']} trees x {recipe.era_step}, {name}", mine, None)
            each.append(mine)
    whole = np.asarray(np.mean(each, axis=0))
    count = len(member.bag.recipes)
    table.line(f"{kind}, usual bag", np.asarray(np.mean(each[:count], axis=0)), None)
    table.line(f"{kind}, usual bag on both sets ({member.bag.fits} fits)", whole, cpu)
    return whole


def report(options: argparse.Namespace) -> None:
    """Fit what is not there, and print each line as soon as it is known."""
    market = lay_out(options)
    sets = json.loads((options.market / "features.json").read_text())["feature_sets"]
    table, bags, examples = Table(market), [], []
    for kind in options.example[:1]:
        ranks, cpu = fitted(options, market, member_of(kind, market, sets, bag=False))
        examples.append(ranks[0])
        table.line(f"{kind}, {EXAMPLE}", ranks[0], cpu)
    for kind in options.kinds:
        member = member_of(kind, market, sets, bag=True)
        ranks, cpu = fitted(options, market, member)
        bags.append(tell_bag(table, kind, member, ranks, cpu))
    groups = table.compared.groups
    if len(bags) > 1:
        table.line("blend of the bags", rank_gaussian_blend(np.column_stack(bags), groups), None)
    for kind in options.example[1:]:
        ranks, cpu = fitted(options, market, member_of(kind, market, sets, bag=False))
        examples.append(ranks[0])
        table.line(f"{kind}, {EXAMPLE}", ranks[0], cpu)
    if len(examples) > 1:
        table.line("blend of the example settings", rank_gaussian_blend(np.column_stack(examples), groups), None)


def market_options(description: str | None) -> argparse.ArgumentParser:
    """What a comparison of boosters in retrained windows of a market is told."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--market", type=Path, required=True, help="folder in tournament layout")
    parser.add_argument("--work", type=Path, required=True, help="what is done is kept here")
    parser.add_argument("--kinds", type=lambda text: text.split(","), default=["lightgbm", "xgboost", "catboost"])
    parser.add_argument("--folds", type=int, default=5)
    parser.set_defaults(target="target_a_20", benchmark="v52_lgbm_a20", features="all", first="0546")
    return parser


def main() -> None:
    """Read the options and report."""
    parser = market_options(__doc__)
    parser.add_argument("--example", type=lambda text: text.split(","), default=["lightgbm"])
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    report(options)


if __name__ == "__main__":
    main()
