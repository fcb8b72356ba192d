"""What networks are worth on a folder of real data, against boosters and beside them, on eras that no search has seen.

    python -m benchmarks.networkmarket --market FOLDER --work FOLDER [--networks mlp,autoencoder,tabm,transformer]
        [--searched HOME] [--stopped] [--boosters lightgbm] [--seeds 3] [--features SET] [--target target_a_20]

All models learn from the same eras, are judged out of fold on the same ones (expanding windows from `--from` on) and
scored by the same functions. Each network is fitted with its defaults and, with `--searched HOME`, as the best trial of
the newest `eraflow search` in that home had it; that search must have been told of the same judged eras:

    ERAFLOW_HOME=HOME eraflow search --profile laptop --data FOLDER --target target_a_20 --set data.features=all
        --set windows.first_test_fraction=0.623 --set windows.folds=2 --set models=mlp,autoencoder

Every fit that is done is kept in `--work`; the same command goes on after a kill.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.ownprocess import in_child
from eraflow.data.eras import Window, target_horizon, walk_forward
from eraflow.data.membereras import Member
from eraflow.disk.atomic import write_json
from eraflow.disk.digest import value_sha256
from eraflow.erastore.erareader import EraStore
from eraflow.erastore.erawriter import write_era_store
from eraflow.kinds import find
from eraflow.machine.plan import Plan
from eraflow.scoring.metrics import era_contribution, era_corr, era_correlation_with
from eraflow.scoring.ranking import EraGroups
from eraflow.scoring.statistics import ewc_interval, overlap_weeks, paired_comparison, sharpe
from eraflow.settings.windows import WindowSettings
from models.base.predictions import join, read_out_of_fold
from models.ensembles.rankblend import rank_gaussian_blend
from models.kinds import make_model
from models.search.space import space_for
from models.training.trainer import Trainer

META_MODEL = "numerai_meta_model"
SHARE = 0.9
"""Of LightGBM's CORR, that the best network is to reach."""

STOPPED = {"updates": 200, "validation_share": 0.15}

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Entry:
    """A model that is compared: its name, kind and parameters."""

    name: str
    kind: str
    params: dict[str, Any]


@dataclass(frozen=True)
class Market:
    """The era store of the folder, and its purged windows."""

    store: Path
    windows: tuple[Window, ...]
    groups: dict[str, tuple[str, ...]]
    target: str
    benchmark: str


def lay_out(options: argparse.Namespace) -> Market:
    """Write the era store, once, and cut the windows."""
    files = [options.market / name for name in ("train.parquet", "validation.parquet")]
    sets = json.loads((options.market / "features.json").read_text())["feature_sets"]
    chosen = set(sets[options.features])
    features = [name for name in pl.read_parquet_schema(files[0]) if name in chosen]
    known = [
        pl.scan_parquet(file).filter(pl.col(options.target).is_not_null()).select("era").unique() for file in files
    ]
    eras = sorted(pl.concat([frame.collect() for frame in known])["era"].to_list())
    store = options.work / f"store-{options.features}"
    if not (store / "layout.json").exists():
        joined = {
            META_MODEL: options.market / "meta_model.parquet",
            options.benchmark: options.market / "validation_benchmark_models.parquet",
        }
        write_era_store(files, features, [options.target], store, joined=joined, eras=eras)
    first = eras.index(options.first) / len(eras) + 0.5 / len(eras)
    cut = WindowSettings(folds=options.folds, first_test_fraction=first)
    groups = {name: tuple(members) for name, members in sets.items() if name not in ("small", "medium", "all")}
    windows = tuple(walk_forward(eras, target_horizon(options.target), cut, even=True))  # from `--from` on
    return Market(store, windows, groups, options.target, options.benchmark)


def entries(options: argparse.Namespace) -> list[Entry]:
    """The boosters, then each network with its defaults and as it was searched."""
    found = [Entry(kind, kind, {}) for kind in options.boosters]
    for kind in options.networks:
        found.append(Entry(kind, kind, {}))
        params = None if options.searched is None else searched_params(options.searched, kind)
        if params is not None:
            found.append(Entry(f"{kind}, searched", kind, params))
        if options.stopped:
            found.append(Entry(f"{kind}, stopped by eras that are kept back", kind, STOPPED))
    return found


def searched_params(home: Path, kind: str) -> dict[str, Any] | None:
    """The best trial of the newest search for a kind, whatever its confirmation kept; None: none was made."""
    records = sorted(home.glob(f"search/best/*/{kind}.json"), key=lambda path: path.stat().st_mtime)
    if not records:
        return None
    record = json.loads(records[-1].read_text())
    given, (_, best, *_) = record["about"]["params"], record["confirmation"]
    space = space_for(kind, given, rows=100_000, features=100)  # a network's ranges depend on neither
    return space.params(best["params"], best["length"])


def fit_out_of_fold(member: Member, seed: int, store: Path, out: Path) -> None:
    """Write `oof.parquet`: every judged era, predicted by a model that has not seen it."""
    trainer = Trainer(out, EraStore.open(store), member, seed, Plan(threads=1))
    parts = []
    for position, window in enumerate(member.windows):
        model = trainer.fit(window.train, position, lambda *_: None)
        parts.append(trainer.predict(model, window.test))
    join(parts).write(out / "oof.parquet")


def predictions(options: argparse.Namespace, market: Market, entry: Entry, seed: int) -> tuple[Values, float]:
    """Out-of-fold predictions of one fit and its CPU seconds; from `--work` where they are there."""
    groups = market.groups if find(entry.kind).takes_groups else None
    few = market.windows[0].train  # the fit for live is not made
    member = Member(entry.kind, entry.kind, entry.params, market.target, market.windows, few, groups=groups)
    params = make_model(entry.kind, entry.params).params  # type: ignore[attr-defined]
    what = [entry.kind, params, seed, options.features, [[one.train[0], one.test[0]] for one in market.windows]]
    out = options.work / f"{entry.kind}-{value_sha256(what)[:12]}-{seed}"
    if not (out / "took.json").exists():
        _, cpu, peak = in_child(fit_out_of_fold, member, seed, market.store, out)
        write_json(out / "took.json", {"params": entry.params, "cpu_seconds": cpu, "peak_mib": peak})
    took = json.loads((out / "took.json").read_text())
    return read_out_of_fold(out / "oof.parquet").values, float(took["cpu_seconds"])


class Comparison:
    """The scores of all models on the judged eras; a series is the mean over the seeds, era by era."""

    def __init__(self, market: Market) -> None:
        store = EraStore.open(market.store)
        self.eras = [era for window in market.windows for era in window.test]
        self.groups = EraGroups(store.offsets(self.eras))
        self.overlap = overlap_weeks(target_horizon(market.target))
        self.target, self._meta, self._benchmark = (
            store.column(name, self.eras) for name in (market.target, META_MODEL, market.benchmark)
        )

    def corr(self, runs: Sequence[Values]) -> Values:
        """float64[e]: CORR."""
        return self._mean(runs, lambda one: era_corr(one, self.target, self.groups))

    def contribution(self, runs: Sequence[Values], *, meta: bool) -> Values:
        """float64[e]: MMC, or BMC."""
        other = self._meta if meta else self._benchmark
        return self._mean(runs, lambda one: era_contribution(one, other, self.target, self.groups))

    def correlation(self, runs: Sequence[Values], others: Sequence[Values]) -> float:
        """The mean over eras and seeds of the correlation of two models' ranks."""
        pairs = [era_correlation_with(mine, other, self.groups) for mine, other in zip(runs, others, strict=True)]
        return float(np.nanmean(pairs))

    def blended(self, members: Sequence[Sequence[Values]]) -> list[Values]:
        """Equal blends, seed by seed."""
        return [rank_gaussian_blend(np.column_stack(each), self.groups) for each in zip(*members, strict=True)]

    def against(self, mine: Values, other: Values) -> str:
        """The paired difference, with its one-sided 95 % bounds."""
        found = paired_comparison(mine, other, self.overlap)
        return f"{found.difference:+.4f} ({found.interval.low:+.4f} to {found.interval.high:+.4f}), {found.verdict}"

    def _mean(self, runs: Sequence[Values], score: Callable[[Values], Values]) -> Values:
        return np.asarray(np.mean([score(one) for one in runs], axis=0))


def report(options: argparse.Namespace, market: Market) -> None:
    """Fit what is not there, and print a line for each model as soon as it is known."""
    compared = Comparison(market)
    span = f"{compared.eras[0]} to {compared.eras[-1]} ({len(compared.eras)})"
    print(
        f"{EraStore.open(market.store).describe()}; judged out of fold on eras {span}, "
        f"{market.windows[0].purge_weeks} weeks purged, {options.seeds} seeds"
    )
    known: dict[str, list[Values]] = {}
    for entry in entries(options):
        fits = [predictions(options, market, entry, seed) for seed in range(1, options.seeds + 1)]
        known[entry.name] = [values for values, _ in fits]
        line = scores(compared, known[entry.name], float(np.mean([cpu for _, cpu in fits])))
        if entry.kind not in options.boosters:
            line |= beside_boosters(compared, known[entry.name], [known[name] for name in options.boosters])
        print(f"\n{entry.name} {json.dumps(entry.params)}", flush=True)
        print("\n".join(f"  {name:34} {value}" for name, value in line.items()), flush=True)


def scores(compared: Comparison, runs: Sequence[Values], cpu: float) -> dict[str, str]:
    """What one model scores by itself."""
    corr = compared.corr(runs)
    own = ewc_interval(corr, compared.overlap)
    each = [float(compared.corr([one]).mean()) for one in runs]
    return {
        "CORR, mean of the seeds": f"{own.mean:.4f} ({own.low:.4f} to {own.high:.4f})",
        "CORR of each seed": ", ".join(f"{one:.4f}" for one in each),
        "Sharpe": f"{np.mean([sharpe(compared.corr([one])) for one in runs]):.3f}",
        "MMC": f"{compared.contribution(runs, meta=True).mean():.4f}",
        "BMC": f"{compared.contribution(runs, meta=False).mean():.4f}",
        "CPU seconds a seed": f"{cpu:.0f}",
    }


def beside_boosters(
    compared: Comparison, runs: Sequence[Values], boosters: Sequence[Sequence[Values]]
) -> Mapping[str, str]:
    """What it is worth against the first booster, and in a blend of them all."""
    corr, first = compared.corr(runs), compared.corr(boosters[0])
    reached = ewc_interval(corr - SHARE * first, compared.overlap)
    blend, more = compared.blended(boosters), compared.blended([*boosters, runs])
    contribution = partial(compared.contribution, meta=True)
    return {
        "share of the first booster's CORR": f"{corr.mean() / first.mean():.0%}",
        f"less {SHARE:.0%} of it": f"{reached.mean:+.4f} ({reached.low:+.4f} to {reached.high:+.4f})",
        "CORR against it": compared.against(corr, first),
        "correlation with the boosters": ", ".join(f"{compared.correlation(runs, one):.2f}" for one in boosters),
        "CORR added to their blend": compared.against(compared.corr(more), compared.corr(blend)),
        "MMC added to their blend": compared.against(contribution(more), contribution(blend)),
    }


def main() -> None:
    """Read the options and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--market", type=Path, required=True, help="folder in tournament layout")
    parser.add_argument("--work", type=Path, required=True, help="what is done is kept here")
    parser.add_argument("--target", default="target_a_20")
    parser.add_argument("--benchmark", default="v52_lgbm_a20", help="column that BMC is measured against")
    parser.add_argument("--features", default="all", help="a set of features.json")
    parser.add_argument("--from", dest="first", default="0546", help="the first judged era")
    parser.add_argument("--folds", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--searched", type=Path, help="home of a search")
    parser.add_argument("--stopped", action="store_true", help="also with the stopping that is off by default")
    parser.add_argument("--boosters", type=lambda text: text.split(","), default=["lightgbm"])
    parser.add_argument(
        "--networks", type=lambda text: text.split(","), default=["mlp", "autoencoder", "tabm", "transformer"]
    )
    options = parser.parse_args()
    report(options, lay_out(options))


if __name__ == "__main__":
    main()
