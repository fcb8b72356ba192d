"""Learnt weights of many members over many eras, against the plain way: every candidate scored exactly.

`python -m benchmarks.blendweights [--members 20] [--eras 1000] [--rows 6000] [--method payout]`. The members lie in a
file, as the stage that blends has them; the meta model covers the newer half of the eras. Time, CPU seconds and the
memory that the kernel cannot drop are those of one process. The plain way asks numerai_tools for the payout of each
candidate in each past era; a few such scorings are measured, and multiplied by as many as the walk-forward made.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.aims import note
from benchmarks.measured import Peak, cpu_seconds
from benchmarks.ownprocess import in_child
from eraflow.scoring.payout import TODAY
from eraflow.scoring.ranking import EraGroups
from models.ensembles.blends import BLENDS
from models.ensembles.eratables import KnownTruth
from models.ensembles.job import Learning
from models.ensembles.learntweights import learn_weights
from models.ensembles.numeraitables import NumeraiTables
from models.ensembles.ranktables import RankTables
from models.ensembles.weighing import Weighing

SEED = 5
SCORED = 6
"""Eras in which the plain way is measured."""
MOST_SECONDS, MOST_MIB = 120.0, 1024.0
SKILLS = (0.0, 0.06)
"""CORR of the worst and of the best member, about."""
LEVELS, CUTS = np.array([0.0, 0.25, 0.5, 0.75, 1.0]), (0.05, 0.25, 0.75, 0.95)


@dataclass(frozen=True)
class Size:
    """How much there is."""

    members: int
    eras: int
    rows: int


def write_members(path: Path, size: Size) -> None:
    """float64[eras x rows, members]: planted skill, a noise that all share, and one of their own."""
    skills = np.linspace(*SKILLS, size.members)
    columns = np.lib.format.open_memmap(path, "w+", np.float64, (size.eras * size.rows, size.members))
    for era in range(size.eras):
        random = np.random.default_rng([SEED, era])
        signal, shared = random.standard_normal((2, size.rows))
        own = random.standard_normal((size.members, size.rows))
        columns[era * size.rows : (era + 1) * size.rows] = (skills[:, None] * signal + 0.8 * shared + 0.6 * own).T
    columns.flush()


def truth_of(size: Size) -> KnownTruth:
    """The target and a meta model that knows of what the members share; it begins in the middle."""
    target, meta = np.empty((2, size.eras, size.rows))
    for era in range(size.eras):
        signal, shared = np.random.default_rng([SEED, era]).standard_normal((2, size.rows))
        target[era] = LEVELS[np.searchsorted(np.quantile(signal, CUTS), signal)]
        meta[era] = 0.03 * signal + shared if era >= size.eras // 2 else np.nan
    return KnownTruth(target.ravel(), meta.ravel(), None)


def learnt(path: Path, size: Size, method: str) -> dict[str, Any]:
    """Learn the weights; what it took, and how often a candidate was scored in how many eras, by both measures."""
    members, truth = np.load(path, mmap_mode="r"), truth_of(size)
    learning = Learning(meta_model="meta", benchmark=None, purge_weeks=8, confidence=0.95, weighing=Weighing())
    row, eras = BLENDS[method], [f"{era:04d}" for era in range(1, size.eras + 1)]
    if row.learns is None:
        raise SystemExit(f"{method} does not learn its weights")
    groups = EraGroups.from_sizes([size.rows] * size.eras)
    peak = Peak()
    peak.start()
    began, used = time.monotonic(), cpu_seconds()
    with counted() as asked:
        found = learn_weights(row, row.learns, members, groups, eras, truth, learning, 20)
    figures = {"seconds": time.monotonic() - began, "cpu": cpu_seconds() - used, "peak": peak.highest}
    return {**figures, "asked": sum(asked), "told": found.told, "live": found.weights.live.tolist()}


@contextmanager
def counted() -> Iterator[list[int]]:
    """The number of eras of each payout of a candidate that is asked of the tables while this lasts."""
    asked: list[int] = []

    def counting(plain: Callable[..., Any]) -> Callable[..., Any]:
        def payouts(table: Any, weights: Any, payout: Any) -> Any:
            found = plain(table, weights, payout)
            asked.append(len(found))
            return found

        return payouts

    with ExitStack() as stack:
        for table in (NumeraiTables, RankTables):
            stack.enter_context(mock.patch.object(table, "payouts", counting(table.payouts)))
        yield asked


def plain_seconds(path: Path, size: Size) -> float:
    """CPU seconds of the plain way for one candidate in one era."""
    import pandas as pd
    from numerai_tools.scoring import correlation_contribution, numerai_corr, tie_kept_rank__gaussianize__pow_1_5

    members, truth = np.load(path, mmap_mode="r"), truth_of(size)
    meta_model = np.zeros(0) if truth.meta_model is None else truth.meta_model
    began = time.process_time()
    for era in range(size.eras - SCORED, size.eras):
        rows = slice(era * size.rows, (era + 1) * size.rows)
        frame = pd.DataFrame(np.array(members[rows]))
        blend = tie_kept_rank__gaussianize__pow_1_5(frame).mean(axis=1).to_frame("blend")
        target, meta = (pd.Series(one[rows], name="truth") for one in (truth.target, meta_model))
        TODAY.of(numerai_corr(blend, target)["blend"], correlation_contribution(blend, meta, target)["blend"])
    return (time.process_time() - began) / SCORED


def main(argv: list[str]) -> int:
    """Measure, print, and give how many aims were missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=20)
    parser.add_argument("--eras", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=6000)
    parser.add_argument("--method", default="payout")
    options = parser.parse_args(argv)
    size = Size(options.members, options.eras, options.rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "members.npy"
        write_members(path, size)
        found, _, _ = in_child(learnt, path, size, options.method)
        one, _, _ = in_child(plain_seconds, path, size)
    plain = one * found["asked"]
    work = f"weights of {size.members} members x {size.eras} eras x {size.rows} rows, {options.method}"
    print(f"{work}: {found['seconds']:.0f} s, {found['cpu']:.0f} CPU s, {found['peak']:,.0f} MiB")
    print(f"live {np.round(found['live'], 3).tolist()}; {found['told']}")
    print(f"the plain way: {one:.3f} CPU s a candidate and era, {found['asked']:,} of them, {plain / 3600:,.0f} CPU h")
    reached = found["seconds"] < MOST_SECONDS and found["peak"] < MOST_MIB
    told = f"{found['seconds']:.0f} s, {found['peak']:,.0f} MiB, {plain / max(found['cpu'], 0.01):,.0f} times less CPU"
    note(work, f"below {MOST_SECONDS:.0f} s and {MOST_MIB:,.0f} MiB", told, reached)
    return int(not reached)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
