"""What the selections are worth on a folder of real data; run by `python -m benchmarks.discovery --market FOLDER`."""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.ownprocess import in_child
from benchmarks.plantedworld import top_correlated
from eraflow.data.eras import target_horizon, walk_forward
from eraflow.data.membereras import Member
from eraflow.discovery.association import measure
from eraflow.discovery.selection import CHOSEN
from eraflow.discovery.stage import SelectJob, select_features
from eraflow.erastore.erareader import EraStore
from eraflow.erastore.erawriter import write_era_store
from eraflow.machine.plan import Plan
from eraflow.scoring.metrics import era_corr
from eraflow.scoring.statistics import ewc_interval, overlap_weeks, paired_comparison
from eraflow.settings.selection import SelectionSettings
from eraflow.settings.windows import WindowSettings
from models.base.predictions import read_out_of_fold
from models.training.job import TrainJob
from models.training.selectedfeatures import read_selection
from models.training.train import train_model


@dataclass
class Market:
    """The era store of a folder in tournament layout, and its purged windows."""

    folder: Path
    store: Path
    eras: tuple[str, ...]
    windows: list[Any]
    target: str


def lay_out(options: argparse.Namespace, out: Path) -> Market:
    files = [options.market / name for name in ("train.parquet", "validation.parquet")]
    sets = json.loads((options.market / "features.json").read_text())["feature_sets"]
    names = set(sets[options.feature_set]) if options.feature_set else {name for each in sets.values() for name in each}
    features = [name for name in pl.read_parquet_schema(files[0]) if name in names]
    known = [
        pl.scan_parquet(file).filter(pl.col(options.target).is_not_null()).select(pl.col("era").unique()).collect()
        for file in files
    ]
    eras = tuple(sorted(pl.concat(known)["era"].to_list()))
    write_era_store(files, features, [options.target], out / "store", eras=eras)
    windows = walk_forward(eras, target_horizon(options.target), WindowSettings(folds=options.folds))
    return Market(options.market, out / "store", eras, windows, options.target)


def market_selections(options: argparse.Namespace, market: Market, out: Path) -> dict[str, Path | None]:
    """Name to the file of the selection; None for all features."""
    store = EraStore.open(market.store)
    associations = measure(store, market.target, market.eras, threads=options.threads)
    files: dict[str, Path | None] = {"all features": None}
    for method in ("association", "invariant"):
        job = SelectJob(
            windows=tuple(market.windows),
            final_eras=tuple(market.eras),
            target=market.target,
            overlap_weeks=overlap_weeks(target_horizon(market.target)),
            selection=SelectionSettings(method=method, most=options.most, false_discovery_rate=options.rate),
            store=market.store,
        )
        told, cpu, peak = in_child(select_features, job, out / method, Plan(threads=options.threads))
        files[method] = out / method / "selection.json"
        passed = {label: counts.get(CHOSEN, 0) for label, counts in told["outcomes"].items()}
        print(
            f"{method}: {cpu:.1f} CPU s, {peak:.0f} MiB; features {told['chosen']}, of which the tests chose {passed}"
        )
        content = json.loads((out / method / "selection.json").read_text())
        for window, each in zip(market.windows, content["windows"], strict=True):
            places = top_correlated(associations.of(window.train), len(each["features"]))
            each["features"] = [store.features[place] for place in np.sort(places)]
        places = top_correlated(associations, len(content["live"]))
        content["live"] = [store.features[place] for place in np.sort(places)]
        files[f"  as many by plain correlation ({method})"] = out / f"plain-{method}.json"
        (out / f"plain-{method}.json").write_text(json.dumps(content))
    return files


def print_market(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        market = lay_out(options, out)
        store, overlap = EraStore.open(market.store), overlap_weeks(target_horizon(market.target))
        first, last = market.windows[0].test[0], market.windows[-1].test[-1]
        print(
            f"{store.describe()}; judged out of fold on eras {first} to {last}, {market.windows[0].purge_weeks} purged"
        )
        files = market_selections(options, market, out)
        for kind in options.models:
            scores: dict[str, np.ndarray] = {}
            print(
                f"\n{f'{kind}, {options.trees} trees':44}{'CORR':>9}{'95 % each way':>20}{'CPU s':>9}"
                "   against all features"
            )
            for number, (name, file) in enumerate(files.items()):
                stage = out / f"{kind}-{number}"
                windows = tuple(market.windows)
                few = windows[0].train[:40]  # the fit for live is not looked at
                member = Member(kind, kind, {"n_estimators": options.trees}, market.target, windows, few)
                if file is not None:
                    member = replace(member, features=read_selection(file, windows))
                job = TrainJob(member=member, seed=7, store=market.store)
                _, cpu, _ = in_child(train_model, job, stage, Plan(threads=options.threads))
                oof = read_out_of_fold(stage / "oof.parquet")
                scores[name] = era_corr(oof.values, store.column(market.target, oof.eras), oof.groups)
                own = ewc_interval(scores[name], overlap)
                line = f"{name:44}{own.mean:9.4f}   {own.low:7.4f} to {own.high:7.4f}{cpu:9.1f}"
                if number:
                    compared = paired_comparison(scores[name], scores["all features"], overlap)
                    low, high = compared.interval.low, compared.interval.high
                    line += f"   {compared.difference:+.4f} ({low:+.4f} to {high:+.4f}), {compared.verdict}"
                print(line, flush=True)
