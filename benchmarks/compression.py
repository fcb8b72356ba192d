"""What a latent code of the features is worth on a folder of real data.

    python -m benchmarks.compression --market FOLDER [--target target_a_20] [--model lightgbm] [--trees 500]

The same model without a code, with it beside the features and instead of them, out of fold on the same purged windows
and eras, compared era by era with an overlap-robust interval (EWC, one-sided 95 % each way). The code is learnt inside
each window by the stage itself. The fit for live is kept small, for nobody looks at it.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.discoverymarket import lay_out
from benchmarks.ownprocess import in_child
from eraflow.data.eras import target_horizon, walk_forward
from eraflow.data.membereras import Member
from eraflow.erastore.erareader import EraStore
from eraflow.machine.plan import Plan
from eraflow.scoring.metrics import era_corr
from eraflow.scoring.statistics import ewc_interval, overlap_weeks, paired_comparison
from eraflow.settings.data import DataSettings
from eraflow.settings.windows import WindowSettings
from models.base.predictions import read_out_of_fold
from models.compression.codedstore import CodeUse, LearnedCode
from models.compression.job import CodeJob, CodeRecipe
from models.compression.stage import LIVE, learn_codes
from models.training.job import TrainJob
from models.training.train import train_model

FEW = 40
"""Eras of the fit for live."""


def code_job(options: argparse.Namespace, store: EraStore, windows: tuple) -> CodeJob:
    asked = DataSettings()
    recipe = CodeRecipe(
        size=options.size,
        hidden=tuple(asked.code_hidden),
        updates=asked.code_updates,
        beta=options.beta,
        warmup=asked.code_warmup,
    )
    few = windows[0].train[:FEW]
    spans = (*((window.train[0], window.test[-1]) for window in windows), (few[0], few[-1]))
    return CodeJob(
        windows=windows, final_eras=few, spans=spans, recipe=recipe, groups={}, seed=options.seed, store=store.path
    )


def print_worth(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        market = lay_out(options, out)
        store, horizon = EraStore.open(market.store), target_horizon(market.target)
        cut = WindowSettings(folds=options.folds, first_test_fraction=options.first)
        windows = tuple(walk_forward(market.eras, horizon, cut, stride=options.stride))
        print(
            f"{store.describe()}; judged out of fold on eras {windows[0].test[0]} to {windows[-1].test[-1]}, "
            f"learnt from one era in {options.stride} before them, purge {windows[0].purge_weeks} weeks",
            flush=True,
        )
        job, plan = code_job(options, store, windows), Plan(threads=options.threads)
        told, cpu, peak = in_child(learn_codes, job, out / "vae", plan)
        print(f"code: {cpu:.1f} CPU s, {peak:.0f} MiB")
        for one in told["windows"][:-1]:
            print(
                f"window {one['window']}: {one['active']} of {one['units']} units active, {one['explained']:.1%} of "
                f"the variance out of sample, KL {one['divergence']:.1f} nats",
                flush=True,
            )
        labels = (*(str(window.index) for window in windows), LIVE)
        what = options.model if options.model == "mlp" else f"{options.model}, {options.trees} trees"
        print(f"\n{what:24}{'CORR':>9}{'95 % each way':>20}{'CPU s':>9}   paired")
        scores: dict[str, np.ndarray] = {}
        uses: dict[str, CodeUse | None] = {"features": None, "features and code": "beside", "code alone": "instead"}
        for name, use in uses.items():
            params = {} if options.model == "mlp" else {"n_estimators": options.trees}
            member = Member(options.model, options.model, params, market.target, windows, job.final_eras)
            code = use and LearnedCode(use=use, size=options.size, labels=labels, spans=job.spans, folder=out / "vae")
            training = TrainJob(member=member, seed=options.seed, store=market.store, code=code)
            _, cpu, _ = in_child(train_model, training, out / f"train-{name}", plan)
            oof = read_out_of_fold(out / f"train-{name}" / "oof.parquet")
            scores[name] = era_corr(oof.values, store.column(market.target, oof.eras), oof.groups)
            own = ewc_interval(scores[name], overlap_weeks(horizon))
            line = f"{name:24}{own.mean:9.4f}   {own.low:7.4f} to {own.high:7.4f}{cpu:9.1f}"
            if use is not None:
                compared = paired_comparison(scores[name], scores["features"], overlap_weeks(horizon))
                low, high = compared.interval.low, compared.interval.high
                line += f"   {compared.difference:+.4f} ({low:+.4f} to {high:+.4f}), {compared.verdict}"
            print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--market", type=Path, required=True, help="folder in tournament layout")
    parser.add_argument("--target", default="target_a_20")
    parser.add_argument("--feature-set", default="", help="a set of features.json; empty: all features")
    parser.add_argument("--model", default="lightgbm", choices=("lightgbm", "xgboost", "catboost", "mlp"))
    parser.add_argument("--trees", type=int, default=500)
    parser.add_argument("--folds", type=int, default=2)
    parser.add_argument("--first", type=float, default=0.62, help="fraction of the eras before the first judged one")
    parser.add_argument("--stride", type=int, default=4, help="learn from every n-th era")
    parser.add_argument("--size", type=int, default=32, help="numbers in the code")
    parser.add_argument("--beta", type=float, default=DataSettings().code_beta)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    print_worth(parser.parse_args())


if __name__ == "__main__":
    main()
