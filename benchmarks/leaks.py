"""Which leaks are found, and whether an honest feature is ever blocked: `python -m benchmarks leaks [--market MARKET]`.

Honest worlds, sandboxes of several strengths and seeds, count the false blocks over features and targets. Then values
of the target, of another target or of a noisy copy are put into a share of the rows of one feature, in all eras or in
some, of a sandbox or, with `--market`, of a folder in tournament layout. Each is looked through by the stage and judged
by the gate's two rules of features.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.aims import note
from eraflow.discovery.leakstage import LeakJob, find_leaks, read_leaks
from eraflow.erastore.erawriter import write_era_store
from eraflow.gate.case import Case
from eraflow.gate.leakrules import feature_copy, feature_corr
from eraflow.machine.plan import Plan
from eraflow.sandbox.generate import generate
from eraflow.scoring.scoring import ModelScores
from eraflow.scoring.statistics import overlap_weeks
from eraflow.settings.gate import GateSettings
from eraflow.settings.source import SandboxSettings

SHARES = (0.1, 0.3, 0.5, 1.0)
NOISES = (0.0, 0.5, 1.0, 2.0)
"""Of a noisy copy, in standard deviations of the target."""
WORLDS: tuple[dict[str, Any], ...] = (
    {},
    {"signal": 0.0},
    {"signal": 3.0},
    {"features": 20, "signal": 3.0},
    {"train_eras": 90, "validation_eras": 50, "rows_per_era": 80, "features": 16, "signal": 3.0},
)
SEEDS = (1, 2, 3)
FILES = ("train.parquet", "validation.parquet")


def looked_through(
    files: list[Path], features: list[str], target: str, others: list[str], work: Path
) -> dict[str, Any]:
    """What the stage finds in files in tournament layout."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        store = write_era_store(files, features, [target], Path(folder) / "store")
        overlaps = {name: overlap_weeks(int(name.rpartition("_")[2])) for name in (target, *others)}
        find_leaks(LeakJob(overlaps=overlaps, store=store.path, files=tuple(files)), Path(folder), Plan(threads=1))
        return read_leaks(Path(folder))


def blocked(leaks: dict[str, Any], target: str) -> list[str]:
    """The rules of features that block by their defaults, and the features that they name."""
    scores = ModelScores(target, 20, 0, 0, (), {}, {})
    case = Case(scores, None, GateSettings(), 20, 1, 1, leaks=leaks)
    return [result.text for rule in (feature_copy, feature_corr) for result in rule(case) if not result.passed]


def catalogue(folder: Path) -> tuple[list[str], list[str]]:
    """All features and targets of a folder, the alias left out."""
    told = json.loads((folder / "features.json").read_text(encoding="utf-8"))
    return told["feature_sets"]["all"], [name for name in told["targets"] if name != "target"]


def leaked(folder: Path, feature: str, into: Path, values: str, share: float, noise: float, every: int) -> list[Path]:
    """The folder's files with a leak: a share of the rows of every n-th era."""
    rng = np.random.default_rng([round(100 * share), round(10 * noise), every])
    written = []
    for name in FILES:
        frame = pl.read_parquet(folder / name)
        target = frame[values].cast(pl.Float64).fill_null(np.nan).to_numpy()
        copied = np.rint(np.nan_to_num(target, nan=0.5) * 4)
        if noise:
            drawn = np.nan_to_num(target, nan=0.5) / 0.22 + noise * rng.standard_normal(len(target))
            cuts = np.quantile(drawn, [0.2, 0.4, 0.6, 0.8])
            copied = np.searchsorted(cuts, drawn).astype(float)
        eras = frame["era"].rank("dense").to_numpy()
        rows = (rng.random(len(target)) < share) & np.isfinite(target) & (eras % every == 0)
        codes = np.where(rows, copied, frame[feature].to_numpy())
        frame = frame.with_columns(pl.Series(feature, codes.astype(np.int8)))
        frame.write_parquet(into / name)
        written.append(into / name)
    return written


def kinds(targets: list[str]) -> Iterator[tuple[str, str, float, float, int]]:
    """Name, column that is copied, share, noise, every n-th era."""
    for share in SHARES:
        yield f"the target, {share:.0%} of the rows", targets[0], share, 0.0, 1
        yield f"{targets[-1]}, {share:.0%} of the rows", targets[-1], share, 0.0, 1
        for noise in NOISES[1:]:
            yield f"a copy with noise {noise:g}, {share:.0%} of the rows", targets[0], share, noise, 1
    yield "the target, 50% of the rows of every tenth era", targets[0], 0.5, 0.0, 10
    yield "the target, all rows of every hundredth era", targets[0], 1.0, 0.0, 100


def leaks_found(folder: Path, target: str, work: Path) -> tuple[int, int]:
    """Print each leak and whether it was named; returns how many were, of how many without noise or all."""
    features, targets = catalogue(folder)
    targets = [target, *(name for name in targets if name != target)]
    guilty, found, exact = features[len(features) // 2], 0, 0
    for name, values, share, noise, every in kinds(targets):
        with tempfile.TemporaryDirectory(dir=work) as into:
            files = leaked(folder, guilty, Path(into), values, share, noise, every)
            said = blocked(looked_through(files, features, target, targets[1:], work), target)
        named = any(guilty in text for text in said)
        alone = all(text.split(": ", 1)[1].startswith("one feature") for text in said)
        exact += named and noise == 0
        found += named
        print(f"  {name:55} {'named' if named else 'NOT FOUND'}{'' if alone else ', others too'}", flush=True)
    return exact, found


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--market", type=Path)
    parser.add_argument("--target", default="target_a_20")
    parser.add_argument("--first-seed", type=int, default=SEEDS[0], help="of the honest sandboxes")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        false = looks = 0
        for world in WORLDS:
            for seed in range(arguments.first_seed, arguments.first_seed + len(SEEDS)):
                sandbox = SandboxSettings(**{**world, "seed": seed})
                folder = generate(work / f"world-{WORLDS.index(world)}-{seed}", sandbox)
                features, targets = catalogue(folder)
                files = [folder / name for name in FILES]
                said = blocked(looked_through(files, features, targets[0], targets[1:], work), targets[0])
                looks, false = looks + len(features) * len(targets), false + bool(said)
                print(f"honest sandbox {world or 'as it is'}, seed {seed}: {'; '.join(said) or 'passes'}", flush=True)
        print(f"false blocks: {false} of {len(WORLDS) * len(SEEDS)} honest sandboxes, {looks} features and targets")
        folder = work / f"world-0-{arguments.first_seed}" if arguments.market is None else arguments.market
        target = catalogue(folder)[1][0] if arguments.market is None else arguments.target
        features, targets = catalogue(folder)
        started = time.process_time()
        honest = looked_through([folder / name for name in FILES], features, target, targets, work)
        seconds = time.process_time() - started
        said = blocked(honest, target)
        print(f"{folder.name} as it is: {'; '.join(said) or 'passes'}; {seconds:.1f} processor seconds, store included")
        exact, found = leaks_found(folder, target, work)
    wanted = 2 * len(SHARES) + 2
    print(f"without noise {exact} of {wanted} are named, with noise {found - exact} of {3 * len(SHARES)}")
    reached = exact == wanted and not false
    note("leaks by name", "all without noise, no honest world", f"{exact} of {wanted}, {false} false", reached)


if __name__ == "__main__":
    main()
