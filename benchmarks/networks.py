"""The networks against the way people write them: rows a CPU second, and memory, each in a fresh process.

    python -m benchmarks.networks                                     # 100,000 rows x 780 features
    python -m benchmarks.networks --rows 500000                       # the size of the aims
    python -m benchmarks.networks --kinds mlp,gin --rounds 3
    python -m benchmarks.networks --growth --kinds mlp                # time and memory as rows, features and eras grow

The plain way (benchmarks/plainnetworks.py) reads the parquet into a float32 frame and trains modules of torch.nn,
Transformers, tabm and torch-geometric from a DataLoader that fetches whole batches; a graph is one list of edges for
all rows of a batch. Ours is the product's training loop over the int8 era store, and its forward in NumPy. Updates of
1,024 rows; where rows attend across their era, of one era the plain way, and of the product's four. The first ones, in
which libraries are loaded, are not counted. The best of the rounds counts, the two ways in turns. Memory is what the
kernel cannot drop at its highest, everything in the process included: libraries, the frame, the training.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.aims import note
from benchmarks.measured import Peak
from benchmarks.ownprocess import in_child
from eraflow.erastore.erareader import EraStore
from eraflow.erastore.erawriter import write_era_store
from eraflow.machine.launch import environment

TARGET = "target_ender_20"
FEATURES = 780
ROWS_AN_ERA = 5_000
BATCH = 1024
LOOK_SECONDS = 0.02
FITTED_ROWS = 3_000
"""From which the model that predicts is made; only its shape counts."""


@dataclass(frozen=True)
class Measured:
    """How much of a kind is measured, and what is aimed at.

    Attributes:
        updates: that are counted.
        predicted: rows.
        training, forward: how many times faster than the plain way; None: nothing is aimed at.
        params: of the product's kind.
    """

    updates: int
    predicted: int
    training: float
    forward: float | None = None
    params: Mapping[str, Any] | None = None


KINDS = {
    "mlp": Measured(60, 50_000, 1.3, params={"hidden": [256, 256], "dropout": 0.5}),
    "autoencoder": Measured(40, 50_000, 1.3),
    "tabm": Measured(12, 10_000, 1.0),
    "transformer": Measured(20, 10_000, 1.0),
    "transformer across=era": Measured(4, 10_000, 1.0, params={"across": "era"}),
    "gatv2": Measured(1, 1_000, 1.2, 2.0),
    "gin": Measured(1, 2_000, 1.2, 2.0),
}
MEMORY_AIM = 0.5


def write_data(folder: Path, rows: int, features: int, rows_an_era: int) -> None:
    """data.parquet and the era store `store`: random codes, and a target that depends on two of them."""
    rng = np.random.default_rng(0)
    names = [f"feature_{place:04d}" for place in range(features)]
    codes = rng.integers(0, 5, (features, rows), dtype=np.int8)
    frame = pl.DataFrame(
        {
            "id": [f"n{row:015x}" for row in range(rows)],
            "era": [f"{1 + row // rows_an_era:04d}" for row in range(rows)],
            "data_type": ["train"] * rows,
            **dict(zip(names, codes, strict=True)),
            TARGET: ((codes[0] + codes[1]) / 8 + rng.normal(size=rows)).astype(np.float32),
        }
    )
    frame.write_parquet(folder / "data.parquet", row_group_size=20 * rows_an_era)
    write_era_store([folder / "data.parquet"], names, [TARGET], folder / "store")


def kind_of(name: str) -> str:
    """Of the product."""
    return name.split()[0]


def params_of(name: str, **more: Any) -> dict[str, Any]:
    """Of the product's kind; every update is made, whatever the eras kept back say."""
    return {**(KINDS[name].params or {}), "validation_share": 0.0, "batch_size": BATCH, **more}


def new_model(name: str, features: int, **more: Any) -> Any:
    """The product's model; the transformer's tokens are twelve groups of neighbours."""
    from models.kinds import make_model

    groups = {f"group_{at}": part.tolist() for at, part in enumerate(np.array_split(np.arange(features), 12))}
    return make_model(kind_of(name), params_of(name, **more), groups=groups)


def prepare(folder: Path, name: str, threads: int) -> None:
    """The model that predicts, and the edges that the plain way is given; in a process of its own."""
    from eraflow.machine.plan import Plan

    x, y, _ = stored(folder)
    model = new_model(name, x.shape[1], updates=1)
    model.fit(x[:FITTED_ROWS], y[:FITTED_ROWS], plan=Plan(threads=threads), seed=1)
    model.save(folder / kind_of(name))
    if name in ("gatv2", "gin"):
        from models.base.rows import TrainingRows
        from models.networks.featuregraph import edge_list, feature_graph

        table = feature_graph(TrainingRows(x, y, Plan().rows_in_memory), "correlation", 4, 1)
        np.save(folder / "edges.npy", edge_list(table))


def stored(folder: Path) -> tuple[Any, Any, Any]:
    """The codes as a map of the store's file, the target, and the offsets of the eras."""
    store = EraStore.open(folder / "store")
    return store.matrix(), store.column(TARGET), store.offsets()


class Clock:
    """Processor seconds between the first and the last update that are counted, from what a fit tells."""

    def __init__(self) -> None:
        self.told: list[tuple[int, float]] = []

    def __call__(self, done: int, total: int, unit: str) -> None:
        self.told.append((done, time.process_time()))

    @property
    def seconds(self) -> float:
        return self.told[-1][1] - self.told[0][1]


def product_training(name: str, folder: Path, updates: int, threads: int) -> dict[str, float]:
    """The product's fit on the era store."""
    from eraflow.machine.plan import Plan
    from models.base.wholeeras import FitEras
    from models.networks.seeds import LEAST_ERAS

    x, y, offsets = stored(folder)
    plan = Plan(threads=threads)
    new_model(name, x.shape[1], updates=1).fit(x[:FITTED_ROWS], y[:FITTED_ROWS], plan=plan, seed=1)
    clock = Clock()
    eras = FitEras(offsets, np.arange(len(offsets) - 1), 8)
    new_model(name, x.shape[1], updates=updates).fit(x, y, plan=plan, seed=1, eras=eras, progress=clock)
    rows = LEAST_ERAS * int(offsets[1]) if name.endswith("era") else BATCH
    return {"rows": updates * rows, "cpu": clock.seconds}


def plain_training(name: str, folder: Path, updates: int, threads: int) -> dict[str, float]:
    """The way people write it."""
    import torch

    from benchmarks import plainnetworks as plain

    torch.set_num_threads(threads)
    names, rows_an_era = layout(folder)
    x, y = plain.frame(folder / "data.parquet", names, TARGET)
    module = plain.MODULES[name](len(names), folder)
    by_era, graph = name.endswith("era"), name in ("gatv2", "gin")
    rows = plain.GRAPH_ROWS if graph else BATCH
    batches = plain.forever(plain.era_loader(x, y, rows_an_era) if by_era else plain.loader(x, y, rows))
    plain.train(module, batches, 1)
    began = time.process_time()
    plain.train(module, batches, updates, parts=BATCH // rows)
    return {"rows": updates * (rows_an_era if by_era else BATCH), "cpu": time.process_time() - began}


def layout(folder: Path) -> tuple[list[str], int]:
    """The features and the rows of an era, of what `write_data` has written."""
    store = EraStore.open(folder / "store")
    return list(store.features), int(store.offsets()[1])


def product_forward(name: str, folder: Path, predicted: int, threads: int) -> dict[str, float]:
    """The product's prediction, without torch."""
    from eraflow.machine.plan import Plan
    from models.kinds import load_model

    x, _, offsets = stored(folder)
    model, plan = load_model(folder / kind_of(name)), Plan(threads=threads)
    model.predict(x[:256], plan=plan)
    began = time.process_time()
    if name.endswith("era"):
        whole = offsets[offsets <= max(predicted, offsets[1])]
        predicted = int(whole[-1])
        model.predict(x[:predicted], plan=plan, eras=whole)
    else:
        model.predict(x[:predicted], plan=plan)
    return {"rows": predicted, "cpu": time.process_time() - began}


def plain_forward(name: str, folder: Path, predicted: int, threads: int) -> dict[str, float]:
    """The module on the frame."""
    import torch

    from benchmarks import plainnetworks as plain

    torch.set_num_threads(threads)
    names, rows_an_era = layout(folder)
    x, _ = plain.frame(folder / "data.parquet", names, TARGET)
    module = plain.MODULES[name](len(names), folder)
    rows = plain.GRAPH_ROWS if name in ("gatv2", "gin") else plain.PREDICTED_ROWS
    if name.endswith("era"):
        rows, predicted = rows_an_era, -(-predicted // rows_an_era) * rows_an_era
    plain.predict(module, x[:256], rows)
    began = time.process_time()
    plain.predict(module, x[:predicted], rows)
    return {"rows": predicted, "cpu": time.process_time() - began}


WORK: dict[str, Callable[[str, Path, int, int], dict[str, float]]] = {
    "plain training": plain_training,
    "product training": product_training,
    "plain forward": plain_forward,
    "product forward": product_forward,
}


def child(work: str, name: str, folder: str, amount: str, threads: str) -> None:
    """One piece of work in this process; its figures are the last line."""
    peak = Peak(LOOK_SECONDS)
    peak.start()
    found = WORK[work](name, Path(folder), int(amount), int(threads))
    print("\n" + json.dumps({**found, "peak": peak.highest}))


def measure(work: str, name: str, folder: Path, amount: int, threads: int) -> dict[str, float]:
    """One piece of work in a fresh process, in the environment of a stage."""
    command = [sys.executable, "-m", "benchmarks.networks", "--child", work, name, str(folder)]
    done = subprocess.run(
        [*command, str(amount), str(threads)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=environment(threads, {}),
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return {**found, "rate": found["rows"] / found["cpu"]}


def best_of(rounds: int, name: str, folder: Path, threads: int) -> dict[str, dict[str, float]]:
    """All work on one network, the ways in turns; the highest rate, and the highest memory."""
    best: dict[str, dict[str, float]] = {}
    for _ in range(rounds):
        for work in WORK:
            amount = KINDS[name].updates if work.endswith("training") else KINDS[name].predicted
            found = measure(work, name, folder, amount, threads)
            seen = best.setdefault(work, found)
            best[work] = {key: max(found[key], seen[key]) for key in ("rate", "peak")}
    return best


def compare(name: str, folder: Path, given: argparse.Namespace) -> None:
    """Both ways of one network: two lines, and the aims."""
    found = best_of(given.rounds, name, folder, given.threads)
    size = f"{given.rows:,} x {given.features}"
    for task, aim in (("training", KINDS[name].training), ("forward", KINDS[name].forward)):
        plain, ours = found[f"plain {task}"], found[f"product {task}"]
        faster, share = ours["rate"] / plain["rate"], ours["peak"] / plain["peak"]
        print(
            f"{name:<23}{task:<10}{plain['rate']:>11,.0f}{ours['rate']:>11,.0f}{faster:>8.2f}x"
            f"{plain['peak']:>10,.0f}{ours['peak']:>10,.0f}{share:>8.2f}",
            flush=True,
        )
        words = f"{faster:.2f} times, {ours['peak']:,.0f} MiB ({plain['peak']:,.0f})"
        if aim is not None:
            reached = faster >= aim and share <= MEMORY_AIM
            note(f"{name}, {task}, {size}", f"{aim:g} times the rows a CPU second, half of the memory", words, reached)


def main() -> None:
    """A table of both ways."""
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:7])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--features", type=int, default=FEATURES)
    parser.add_argument("--kinds", default=",".join(KINDS), help="with commas between")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1, help="of each way; the best one counts")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base)
        write_data(folder, given.rows, given.features, ROWS_AN_ERA)
        print(f"{given.rows:,} rows x {given.features} features, {given.threads} threads; rows a CPU second, MiB")
        print(f"{'network':<23}{'':<10}{'plain':>11}{'Eraflow':>11}{'':>9}{'plain':>10}{'Eraflow':>10}{'share':>8}")
        for name in given.kinds.split(","):
            in_child(prepare, folder, name, given.threads)
            compare(name, folder, given)


if __name__ == "__main__":
    main()
