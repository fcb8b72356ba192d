"""What a base and what its adapters cost on a folder of real data, and what they are worth: CPU seconds and CORR.

python -m benchmarks.adaptation --market FOLDER --last 702

For each last era, a transformer is fitted as a week with that era as its newest resolved one would do it: at first
without a base, then with the one that the first fit has left. Both must give the same bytes. What came out, and the
base alone, are scored on the eras behind the purge.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.discoverymarket import lay_out
from eraflow.data.catalog import read_catalog
from eraflow.data.eras import era_number, purge_weeks, target_horizon
from eraflow.erastore.erareader import EraStore
from eraflow.machine.plan import Plan
from eraflow.scoring.metrics import era_corr
from eraflow.scoring.ranking import EraGroups
from models.base.wholeeras import FitEras, fit_in_eras, predict_in_eras
from models.kinds import load_model, make_model
from models.networks.basestore import BaseStore
from models.training.trainer import training_view

PLAN = Plan(threads=1)


def fitted(options: argparse.Namespace, store: EraStore, train: list[str], bases: Path) -> tuple[Any, float]:
    """A model, and the CPU seconds of its fit."""
    groups = read_catalog(options.market / "features.json").groups
    place = {name: at for at, name in enumerate(store.features)}
    named = {name: tuple(place[each] for each in members if each in place) for name, members in groups.items()}
    x, y = training_view(store, options.target, train)
    span = store.eras[store.eras.index(train[0]) : store.eras.index(train[-1]) + 1]
    weeks = np.array([era_number(era) for era in span])
    eras = FitEras(store.offsets(span), weeks, purge_weeks(target_horizon(options.target)))
    model = make_model("transformer", {"adapt": "lora"}, groups=named, bases=BaseStore(bases, "benchmark", 7))
    began = time.process_time()
    fit_in_eras(model, x, y, eras, plan=PLAN, seed=3)
    return model, time.process_time() - began


def corr(model: Any, store: EraStore, target: str, eras: list[str]) -> float:
    found = predict_in_eras(model, store.matrix(eras), store.offsets(eras), plan=PLAN)
    return float(np.nanmean(era_corr(found, store.column(target, eras), EraGroups(store.offsets(eras)))))


def measure(options: argparse.Namespace, store: EraStore, last: int, folder: Path) -> None:
    purge, bases = purge_weeks(target_horizon(options.target)), folder / f"bases-{last}"
    train = [era for era in store.eras if era_number(era) <= last]
    later = [era for era in store.eras if last + purge < era_number(era) <= last + purge + options.judged]
    (first, whole), (second, adapters) = (fitted(options, store, train, bases) for _ in range(2))
    same = all(np.array_equal(first.networks[0][name], array) for name, array in second.networks[0].items())
    (base,) = bases.glob("*/model.json")
    told = second.adaptation
    print(
        f"up to era {last}, {len(store.matrix(train))} rows: base {whole - adapters:.1f} CPU s ({told['base_eras']}), "
        f"adapters and judgement {adapters:.1f} CPU s ({told['adapter_eras']}, judged {told['judged_eras']}); "
        f"difference {told['difference']:+.4f}, {told['why']}; the same bytes with the base found: {same}; "
        f"eras {later[0]} to {later[-1]}: CORR {corr(second, store, options.target, later):.4f}, of the base "
        f"{corr(load_model(base.parent), store, options.target, later):.4f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--market", type=Path, required=True, help="folder in tournament layout")
    parser.add_argument("--target", default="target_a_20")
    parser.add_argument("--feature-set", default=None, help="a set of features.json; all sets when left out")
    parser.add_argument("--last", type=int, nargs="+", default=[702], help="newest eras that are known")
    parser.add_argument("--judged", type=int, default=165, help="eras that are scored behind the purge")
    options = parser.parse_args()
    options.folds = 1
    with tempfile.TemporaryDirectory() as folder:
        store = EraStore.open(lay_out(options, Path(folder)).store)
        for last in options.last:
            measure(options, store, last, Path(folder))


if __name__ == "__main__":
    main()
