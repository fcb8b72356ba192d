"""How time and memory of each network grow: a fit through small sizes, as `TrainingPace` in eraflow/kinds.py has it.

    python -m benchmarks.networkgrowth                              # 195 and 780 features, 20,000 and 60,000 rows
    python -m benchmarks.networkgrowth --kinds mlp,gin --features 195 390 780 1560

Each size is the product's, in a fresh process (see benchmarks/networks.py). Time: millionths of a second of one core
for a row of an update, for a row that is looked at with torch (which stops the training) and for a row that is
predicted with NumPy, as a + b x features. Memory: MiB + bytes a row + bytes a feature + bytes a row of an era, which
counts where batches are whole eras.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import networks
from benchmarks.ownprocess import in_child
from eraflow.machine.launch import environment

LOOKED_ROWS = {"gatv2": 256, "gin": 256}
USUAL_LOOKED_ROWS = 2_560
ROUNDS = 2
GROUP_COUNT = 12


def network_of(name: str, x: Any, y: Any) -> Any:
    """The product's module and loss with its usual sizes."""
    from models.networks.eratransformer import era_transformer_network
    from models.networks.featuregraph import feature_graph
    from models.networks.graphnetwork import graph_network
    from models.networks.graphshape import GraphShape
    from models.networks.grouptransformer import transformer_network
    from models.networks.perceptron import perceptron_network
    from models.networks.supervisedautoencoder import autoencoder_network
    from models.networks.tabmensemble import tabm_network
    from models.networks.tabmshape import TabmShape
    from models.networks.transformershape import Shape

    features = x.shape[1]
    groups = [part.tolist() for part in np.array_split(np.arange(features), GROUP_COUNT)]
    shape = Shape(48, 1, 4, 96, 0.3)
    made: dict[str, Callable[[], Any]] = {
        "mlp": lambda: perceptron_network(features, [256, 256], 0.5),
        "autoencoder": lambda: autoencoder_network(
            features, [256, 256], code=32, noise=0.1, dropout=0.5, reconstruction=1.0
        ),
        "tabm": lambda: tabm_network(features, TabmShape(8, 2, 128, 0.3)),
        "transformer": lambda: transformer_network(groups, shape),
        "transformer across=era": lambda: era_transformer_network(groups, shape, 16),
        "gatv2": lambda: graph_network(feature_graph(_rows(x, y), "correlation", 4, 1), GraphShape(8, 2, 2, 0.5)),
        "gin": lambda: graph_network(feature_graph(_rows(x, y), "correlation", 4, 1), GraphShape(16, 2, 0, 0.5)),
    }
    return made[name]()


def _rows(x: Any, y: Any) -> Any:
    from eraflow.machine.plan import Plan
    from models.base.rows import TrainingRows

    return TrainingRows(x, y, Plan().rows_in_memory)


def looking(name: str, folder: Path) -> float:
    """Millionths of a second for a row that is looked at."""
    import torch

    from eraflow.machine.plan import Plan
    from models.base.rows import Columns
    from models.networks.cpu import Cpu
    from models.networks.eratargets import KeptBack
    from models.networks.validation import Validation

    torch.set_num_threads(1)
    x, y, _ = networks.stored(folder)
    rows = LOOKED_ROWS.get(name, USUAL_LOOKED_ROWS)
    network = network_of(name, x, y)
    validation = Validation(network, x, y, KeptBack(((0, rows),), y), Columns())
    module, device = network.make(), Cpu(Plan(threads=1))
    validation.corr(module, device, 256)
    began = time.process_time()
    validation.corr(module, device, 256)
    return 1e6 * (time.process_time() - began) / rows


def child(name: str, folder: str) -> None:
    print("\n" + json.dumps(looking(name, Path(folder))))


def times(name: str, folder: Path) -> dict[str, float]:
    """Of one size: millionths of a second a row, and the peak of the training, MiB."""
    in_child(networks.prepare, folder, name, 1)
    command = [sys.executable, "-m", "benchmarks.networkgrowth", "--child", name, str(folder)]
    best: dict[str, float] = {}
    for _ in range(ROUNDS):
        learnt = networks.measure("product training", name, folder, networks.KINDS[name].updates, 1)
        judged = networks.measure("product forward", name, folder, networks.KINDS[name].predicted, 1)
        told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment(1, {}))
        looked = float(json.loads(told.stdout.splitlines()[-1]))
        found = {"learnt": 1e6 / learnt["rate"], "looked": looked, "judged": 1e6 / judged["rate"]}
        best = {key: min(value, best.get(key, value)) for key, value in found.items()}
        best["peak"] = learnt["peak"]
    return best


def fitted(columns: Sequence[Sequence[float]], values: Sequence[float]) -> list[float]:
    """Least squares: what is there anyway, then what each column adds."""
    table = np.column_stack([np.ones(len(values)), *map(np.asarray, columns)])
    return np.linalg.lstsq(table, np.asarray(values), rcond=None)[0].tolist()


def grow(name: str, sizes: Sequence[tuple[int, int, int]]) -> None:
    """Every size of one network, then the fit."""
    found = []
    for rows, features, rows_an_era in sizes:
        with tempfile.TemporaryDirectory() as base:
            networks.write_data(Path(base), rows, features, rows_an_era)
            each = times(name, Path(base))
        found.append(each)
        print(
            f"{name:<23}{rows:>9,}{features:>7,}{rows_an_era:>7,}{each['learnt']:>10.1f}{each['looked']:>10.1f}"
            f"{each['judged']:>10.1f} us{each['peak']:>8.0f} MiB",
            flush=True,
        )
    rows, features, eras = zip(*sizes, strict=True)
    for key in ("learnt", "looked", "judged"):
        fixed, column = fitted([features], [each[key] for each in found])
        print(f"{name:<23}{key}: {fixed:.1f} + {column:.4f} x features us a row")
    fixed, row, column, era = fitted([rows, features, eras], [each["peak"] for each in found])
    print(
        f"{name:<23}memory: {fixed:.0f} MiB + {2**20 * row:.0f} B a row + {2**20 * column:,.0f} B a feature + "
        f"{2**20 * era:,.0f} B a row of an era"
    )


def main() -> None:
    """All sizes of all networks."""
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:4])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default=",".join(networks.KINDS), help="with commas between")
    parser.add_argument("--features", type=int, nargs="+", default=[195, 780])
    parser.add_argument("--rows", type=int, nargs="+", default=[20_000, 60_000])
    given = parser.parse_args()
    few, many = min(given.rows), max(given.rows)
    sizes = [(few, features, 2_500) for features in given.features]
    sizes += [(rows, given.features[-1], 2_500) for rows in given.rows if rows != few]
    sizes += [(many, given.features[-1], 5_000)]
    print(f"{'network':<23}{'rows':>9}{'feat.':>7}{'an era':>7}{'learnt':>10}{'looked':>10}{'judged':>10}{'peak':>11}")
    for name in given.kinds.split(","):
        grow(name, sizes)


if __name__ == "__main__":
    main()
