"""What the ensemble of a finished week is worth, beside its members, each recipe of its bags, and the usual recipe.

    python -m benchmarks.ensemblemarket --run-dir RUN --work FOLDER [--plain lightgbm,xgboost,catboost] [--no-recipes]
        [--members NAMES]

The week is one of real data, for example

    eraflow run --profile laptop --data MARKET --target target_a_20 --dry-run

What is compared with it is fitted on the week's own era store, in the week's own windows and with its seed: each
learner of `--plain` once as one fit with its defaults, the first of them being what everything is compared with beside
the supplied benchmark; and each recipe of each bag, by the very fits that the bag has. A window that is done is kept in
`--work`; the same command goes on after a kill. Of a week that is still training, or was stopped, the folds that are
there are taken, and the others are fitted as the week would. Nothing is chosen by what is printed: the methods of
blending learn their weights from earlier eras alone, with the settings of the week.

Judged are the eras that both the meta model and the benchmark cover. Payout is 3 CORR + 15 MMC, "paid" what an era pays
of it, at most 1 either way; differences are paired by era, bounds one-sided 95 % (EWC). The lines are rows of Markdown.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.ownprocess import in_child
from eraflow.data.coverage import META_MODEL
from eraflow.data.eras import target_horizon, target_purge
from eraflow.data.memberbag import Bag, FitRecipe, planned_bag
from eraflow.data.membereras import Member
from eraflow.disk.atomic import write_bytes, write_json
from eraflow.erastore.erareader import EraStore
from eraflow.machine.job import from_json
from eraflow.machine.plan import Plan
from eraflow.scoring.payout import TODAY
from eraflow.scoring.ranking import EraGroups
from eraflow.scoring.statistics import ewc_interval, long_run_variance, overlap_weeks, paired_comparison
from eraflow.settings.blend import BlendSettings
from eraflow.settings.models import ModelSettings
from models.bags.parts import BagPart
from models.base.predictions import read_out_of_fold
from models.ensembles.blends import BLENDS
from models.ensembles.eratables import KnownTruth
from models.ensembles.job import Learning
from models.ensembles.learntweights import learn_weights
from models.ensembles.weighing import Weighing
from models.ensembles.withoutone import ExactScorer, member_correlations
from models.training.job import TrainJob
from models.training.train import OOF
from models.training.trainer import Trainer

HEAD = (
    "| procedure | CORR | MMC | payout, to the benchmark's | paid | paid less the benchmark's | "
    "paid less the usual recipe's | CORR less the benchmark's | CORR less the usual recipe's |"
)
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class OneRecipe(Trainer):
    """The fits of a member that belong to one recipe of its bag, with the seeds that they have there."""

    recipe: FitRecipe | None = None

    def bag_parts(self, position: int) -> tuple[BagPart, ...] | None:
        """See `Trainer.bag_parts`."""
        parts, chosen = super().bag_parts(position), self.recipe
        if parts is None or chosen is None:
            return parts
        return tuple(part for part in parts if (part.params, part.step) == (chosen.params, chosen.era_step))


@dataclass(frozen=True)
class Week:
    """A run folder and where what is fitted beside it is kept."""

    path: Path
    work: Path
    only: Sequence[str] = ()

    @cached_property
    def jobs(self) -> dict[str, TrainJob]:
        """Of each member, in the order in which they were trained."""
        told = sorted(self.path.glob("train-*/spec.json"), key=lambda path: path.stat().st_mtime)
        if not told:
            raise SystemExit(f"{self.path} has no member that was trained: name the folder of a week")
        return {
            path.parent.name.removeprefix("train-"): from_json(TrainJob, json.loads(path.read_text())["kwargs"]["job"])
            for path in told
        }

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Of the run, as they were stored."""
        found: dict[str, Any] = json.loads((self.path / "settings.json").read_text())
        return found

    @cached_property
    def first(self) -> TrainJob:
        """The member that was trained first: store, windows and seed are those of all."""
        return next(iter(self.jobs.values()))

    @cached_property
    def members(self) -> dict[str, Member]:
        """Those of the settings, or of these only some; they all learn the run's own target."""
        found = {}
        for model in (ModelSettings(**one) for one in self.settings["models"]):
            if self.only and model.name not in self.only:
                continue
            if model.learn != "target" or model.also_learn or model.target is not None:
                raise SystemExit(f"{model.name} learns something of its own: judge a week whose members do not")
            if model.name in self.jobs:
                found[model.name] = self.jobs[model.name].member
            else:
                bag = planned_bag(model.bag, model.kind, model.params)
                found[model.name] = self.alike(model.kind, model.params, bag)
        return found

    def alike(self, kind: str, params: dict[str, Any], bag: Bag | None = None) -> Member:
        """A member that learns from what all do."""
        return replace(self.first.member, kind=kind, name=kind, params=params, bag=bag)

    def predicted(self, name: str) -> Values:
        """float64[n]: what a member predicted out of fold; windows that the week has not come to are fitted here."""
        folder = self.path / f"train-{name}"
        if (folder / OOF).is_file():
            return read_out_of_fold(folder / OOF).values
        member = self.members[name]
        there = [folder / f"fold-{position}.json" for position in range(len(member.windows))]
        return np.concatenate(
            [
                read_out_of_fold(note.with_suffix(".parquet")).values
                if note.is_file()
                else self.fitted(member, positions=[at])[0]
                for at, note in enumerate(there)
            ]
        )

    def fitted(
        self, member: Member, recipe: FitRecipe | None = None, positions: Sequence[int] | None = None
    ) -> tuple[Values, float]:
        """float64[n] over some windows, or all, and the CPU seconds; from `--work` where they are there."""
        store, values, seconds = EraStore.open(self.first.store), [], 0.0
        trainer = OneRecipe(self.work, store, member, self.first.seed, Plan(threads=1), recipe=recipe)
        for position in range(len(member.windows)) if positions is None else positions:
            place = self.work / f"{member.kind}-{position}-{trainer.fold_signature(position)[:16]}"
            if not place.with_suffix(".json").exists():
                predicted, cpu, peak = in_child(fit_window, replace(trainer, out=place), position)
                write_bytes(place.with_suffix(".values"), predicted)
                write_json(place.with_suffix(".json"), {"cpu_seconds": cpu, "peak_mib": peak})
            values.append(np.frombuffer(place.with_suffix(".values").read_bytes()))
            seconds += float(json.loads(place.with_suffix(".json").read_text())["cpu_seconds"])
        return np.concatenate(values), seconds

    def judged(self, table: Table, member: Member, recipe: FitRecipe | None = None) -> tuple[Values, float]:
        """As `fitted`, of the windows that hold judged eras; 0 in the others."""
        covered = {table.eras[at] for at in table.judged}
        wanted = [at for at, window in enumerate(member.windows) if covered & set(window.test)]
        values, seconds = self.fitted(member, recipe, wanted)
        return np.concatenate([np.zeros(int(table.groups.offsets[-1]) - len(values)), values]), seconds


def fit_window(trainer: OneRecipe, position: int) -> bytes:
    """Fit one window; gives float64[n] of its judged eras as bytes."""
    window = trainer.member.windows[position]
    model = trainer.fit(window.train, position, lambda *_: None)
    return trainer.predict(model, window.test).values.tobytes()


class Table:
    """The rows of all procedures."""

    def __init__(self, job: TrainJob) -> None:
        store, member = EraStore.open(job.store), job.member
        self.eras = [era for window in member.windows for era in window.test]
        self.groups = EraGroups(store.offsets(self.eras))
        self.benchmark = next(name for name in store.columns if name != META_MODEL and not name.startswith("target"))
        meta, supplied = (store.column(name, self.eras) for name in (META_MODEL, self.benchmark))
        self.truth = KnownTruth(store.column(member.target, self.eras), meta, supplied)
        self.scorer = ExactScorer(self.truth, self.groups, TODAY)
        self.horizon = target_horizon(member.target)
        self.overlap = overlap_weeks(self.horizon)
        covered = np.add.reduceat(np.isnan(meta) | np.isnan(supplied), self.groups.offsets[:-1]) == 0
        self.judged = np.flatnonzero(covered)
        self.supplied = self.scored(np.where(np.isnan(supplied), 0.0, supplied))
        self.usual: dict[str, Values] | None = None
        span = [self.eras[at] for at in (self.judged[0], self.judged[-1])]
        print(f"eras {span[0]} to {span[1]} ({len(self.judged)}) of {store.describe()}; benchmark {self.benchmark}\n")
        print(f"{HEAD}\n|{'---|' * (HEAD.count('|') - 1)}")
        self.row("supplied benchmark", None)

    def scored(self, values: Values) -> dict[str, Values]:
        """CORR, MMC and what is paid of each judged era."""
        found = self.scorer.of(values)
        return {name: found[name][self.judged] for name in ("corr", "mmc", "payout")}

    def row(self, name: str, values: Values | None, note: str = "") -> dict[str, Values]:
        """Print the row of a procedure, of the benchmark without values; gives its scores."""
        mine = self.supplied if values is None else self.scored(values)
        uncut, base = (TODAY.corr * one["corr"].mean() + TODAY.mmc * one["mmc"].mean() for one in (mine, self.supplied))
        own = ewc_interval(mine["payout"], self.overlap)
        cells = [
            name + (f" ({note})" if note else ""),
            f"{mine['corr'].mean():.4f}",
            f"{mine['mmc'].mean():.4f}",
            f"{uncut:.3f}, {uncut / base:.2f}",
            f"{own.mean:.3f} ({own.low:.3f} to {own.high:.3f})",
            self.less(mine, self.supplied, "payout", 3),
            self.less(mine, self.usual, "payout", 3),
            self.less(mine, self.supplied, "corr", 4),
            self.less(mine, self.usual, "corr", 4),
        ]
        print(f"| {' | '.join(cells)} |", flush=True)
        return mine

    def less(self, mine: dict[str, Values], other: dict[str, Values] | None, metric: str, digits: int) -> str:
        """The paired difference with its bounds and t; empty against itself."""
        if other is None or np.array_equal(mine[metric], other[metric]):
            return ""
        found = paired_comparison(mine[metric], other[metric], self.overlap)
        spread = long_run_variance(mine[metric] - other[metric], self.overlap)
        t = found.difference / float(np.sqrt(spread.variance / spread.eras))
        low, high = found.interval.low, found.interval.high
        return f"{found.difference:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f}), t {t:.1f}"


def blended(week: Week, table: Table, members: Sequence[Values], method: str) -> Values:
    """float64[n]: the blend as the week's stage makes it, weights that are learnt walking forward."""
    row, columns = BLENDS[method], np.column_stack(members)
    if row.learns is None:
        return row.combine(columns, table.groups, np.asarray(row.weigh(columns, table.groups)))
    asked, member = BlendSettings(**week.settings["blend"]), week.first.member
    learning = Learning(
        meta_model=META_MODEL,
        benchmark=table.benchmark,
        purge_weeks=target_purge(member.target, member.windows[0].purge_weeks),
        confidence=float(week.settings["gate"]["confidence"]),
        weighing=Weighing(TODAY, asked.half_life, asked.equal_share, asked.most_weight, asked.warm_up),
    )
    learnt = learn_weights(
        row, row.learns, columns, table.groups, table.eras, table.truth, learning, table.horizon
    )  # fmt: skip
    return row.combine(columns, table.groups, learnt.weights.by_era)


def recipes_of_bags(week: Week) -> Iterator[tuple[str, Member, FitRecipe]]:
    """What each bag of several recipes is made of, with its name."""
    for name, member in week.members.items():
        bag = member.bag
        for recipe in () if bag is None or len(bag.recipes) < 2 else bag.recipes:
            params = json.dumps(recipe.params, separators=(", ", "="))[1:-1].replace('"', "")
            yield f"{name}: {params}, {recipe.era_step} fits", member, recipe


def report(options: argparse.Namespace) -> None:
    """Fit what is not there, and print each row as soon as it is known."""
    week = Week(options.run_dir.absolute(), options.work.absolute(), options.members)
    table = Table(week.first)
    plain: dict[str, Values] = {}
    for kind in options.plain:
        plain[kind], cpu = week.judged(table, week.alike(kind, {}))
        scores = table.row(f"{kind}, one fit with its defaults", plain[kind], f"{cpu:.0f} CPU s")
        table.usual = table.usual or scores
    for name, member, recipe in () if options.no_recipes else recipes_of_bags(week):
        values, cpu = week.judged(table, member, recipe)
        table.row(name, values, f"{cpu:.0f} CPU s")
    members = {}
    for name, member in week.members.items():
        members[name] = week.predicted(name)
        table.row(name, members[name], "" if member.bag is None else member.bag.in_words())
    blends(week, table, members, plain)


def blends(week: Week, table: Table, members: dict[str, Values], plain: dict[str, Values]) -> None:
    """The rows of all methods of blending, of the blends without each member, and of what was the default before."""
    if len(members) < 2:
        return
    whole = {method: table.row(f"blend, {method}", blended(week, table, list(members.values()), method))
             for method in BLENDS}["rank-gaussian"]  # fmt: skip
    worth = []
    for name in members:
        rest = [values for other, values in members.items() if other != name]
        without = table.row(f"blend without {name}", blended(week, table, rest, "rank-gaussian"))
        worth.append((name, *(table.less(whole, without, metric, 4) for metric in ("payout", "corr", "mmc"))))
    kinds = {name: member.kind for name, member in week.members.items()}
    bags = [name for name, member in week.members.items() if member.bag is not None]
    if bags and all(kinds[name] in plain for name in bags):
        singles = [plain[kinds[name]] if name in bags else values for name, values in members.items()]
        before = table.row("blend, each bag as one fit", blended(week, table, singles, "rank-gaussian"))
        print(f"\nthe blend less that one: paid {table.less(whole, before, 'payout', 3)}")
    print("\n| member | adds, paid | adds, CORR | adds, MMC |\n|---|---|---|---|")
    print("\n".join(f"| {' | '.join(one)} |" for one in worth))
    correlations = member_correlations(np.column_stack(list(members.values())), table.groups)
    for name, line in zip(members, correlations, strict=True):
        print(f"correlation of {name}: {', '.join(f'{one:.2f}' for one in line)}")


def main() -> None:
    """Read the options and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run-dir", type=Path, required=True, help="folder of a week on real data")
    parser.add_argument("--work", type=Path, required=True, help="what is done is kept here")
    parser.add_argument(
        "--plain",
        type=lambda text: [kind for kind in text.split(",") if kind],
        default=["lightgbm"],
        help="learners as one fit with their defaults; the first is the usual recipe; empty: none",
    )
    parser.add_argument(
        "--members", type=lambda text: text.split(","), default=[], help="names; empty: all of the week"
    )
    parser.add_argument("--no-recipes", action="store_true", help="leave the recipes of the bags out")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    report(options)


if __name__ == "__main__":
    main()
