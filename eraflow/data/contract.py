"""What was agreed about the files of a round, as a record."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from eraflow.data.eras import era_number, purge_weeks, target_horizon
from eraflow.machine.job import How, HowOf

LIVE = "live.parquet"


@dataclass(frozen=True)
class Contract:
    """What was agreed about the data. Nothing of the live file decides what is learnt, nor how files are cut.

    Attributes:
        features: of the chosen set, in the order of features.json.
        horizon_days, purge_weeks: of the target; the purge is the lower bound.
        train_eras, validation_eras: resolved eras of each file: not data_type test, target known in at least one row.
        unresolved_eras: the others, from `first_era` on.
        live_rows, live_era: of the live file; no rows is not an error here, nor is a round that is not open yet.
        benchmarks: columns of the benchmark files; benchmark: the chosen one.
        benchmark_eras, meta_model_eras: eras of train and validation in which they are known, joined by id.
        rows: file name -> rows.
        notes: things to know that are no errors.
        auxiliary: other target that some member learns -> its own resolved eras.
        chunks: file name -> columns times row groups, of all columns in the file; for the estimate of the work alone.
            How a file is cut was not agreed, so equal contracts may differ in it. Empty in one that was written before
            there was such a thing: the estimate then counts no chunks.
    """

    features: tuple[str, ...]
    target: str
    horizon_days: int
    purge_weeks: int
    train_eras: tuple[str, ...]
    validation_eras: tuple[str, ...]
    unresolved_eras: tuple[str, ...]
    live_rows: How[int]
    live_era: How[str | None]
    benchmarks: tuple[str, ...]
    benchmark: str | None
    benchmark_eras: tuple[str, ...]
    meta_model_eras: tuple[str, ...]
    rows: Annotated[dict[str, int], HowOf(frozenset({LIVE}))]
    notes: How[tuple[str, ...]] = ()
    auxiliary: dict[str, tuple[str, ...]] = field(default_factory=dict)
    chunks: How[dict[str, int]] = field(default_factory=dict, compare=False)

    @property
    def resolved_eras(self) -> tuple[str, ...]:
        """Eras of train, then validation, that can be learned from and judged on: one rising sequence."""
        return self.train_eras + self.validation_eras

    @property
    def targets(self) -> tuple[str, ...]:
        """The run's own target, on which everybody is judged, then the others that are learnt."""
        return (self.target, *self.auxiliary)

    @property
    def stored_eras(self) -> tuple[str, ...]:
        """Every era in which some target is resolved; a shorter horizon is resolved for longer than the run's own."""
        known = {*self.resolved_eras, *(era for eras in self.auxiliary.values() for era in eras)}
        return tuple(sorted(known, key=era_number))

    def eras_of(self, target: str) -> tuple[str, ...]:
        """The eras in which one of `targets` is resolved, in order."""
        return self.resolved_eras if target == self.target else self.auxiliary[target]

    def horizon_of(self, target: str) -> int:
        """The horizon of one of `targets` in trading days."""
        return self.horizon_days if target == self.target else target_horizon(target)

    def describe(self) -> str:
        """One line for people."""
        resolved = self.resolved_eras
        return "; ".join(
            [
                f"{len(self.features)} features, target {self.target} (horizon {self.horizon_days} days, purge "
                f"{self.purge_weeks} weeks)",
                f"{len(resolved)} resolved eras {resolved[0]} to {resolved[-1]}, {len(self.unresolved_eras)} not yet",
                f"live era {self.live_era} with {self.live_rows} rows" if LIVE in self.rows else "no live file yet",
                f"benchmark {self.benchmark or 'none'} in {len(self.benchmark_eras)} eras",
                f"meta model in {len(self.meta_model_eras)} eras",
                *(
                    f"also learnt: {target} (purge {purge_weeks(self.horizon_of(target))} weeks), {len(eras)} resolved "
                    f"eras to {eras[-1]}"
                    for target, eras in self.auxiliary.items()
                ),
                *self.notes,
            ]
        )
