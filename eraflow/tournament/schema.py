"""The data contract: everything about the files that later work relies on, checked before that work begins.

It reads footers, features.json, and the columns id, era, data_type and the target; never a feature. What footers
cannot show (a value of 7 in a file without statistics) is checked while the era store is written.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import polars as pl

from eraflow.errors import EraflowError
from eraflow.settings.run import DataSettings
from eraflow.tournament.catalog import Catalog, read_catalog
from eraflow.tournament.coverage import (
    META_MODEL,
    MissingBenchmarkError,
    any_by_era,
    benchmark_columns,
    choose_benchmark,
    covered_eras,
)
from eraflow.tournament.datafiles import DataFiles
from eraflow.tournament.eraindex import (
    EraIndex,
    check_one_sequence,
    check_unique_ids,
    id_hashes,
    read_era_index,
)
from eraflow.tournament.eras import (
    LIVE_ERA,
    BadEraError,
    TooFewErasError,
    era_number,
    purge_weeks,
    target_horizon,
)
from eraflow.tournament.footer import (
    ERA,
    HIGHEST_CODE,
    BadFeatureValueError,
    Footer,
    MissingColumnError,
    check_feature_types,
    decoding,
    footer_extremes,
    read_footer,
)

__all__ = ["META_MODEL", "Contract", "DataFiles", "check_contract", "choose_benchmark"]


class MissingFeatureError(MissingColumnError):
    """A feature of the chosen set is not in a parquet file; perhaps it is called something else there."""

    code = "missing_feature"


class MissingTargetError(MissingColumnError):
    """The chosen target is not in the parquet files."""

    code = "missing_target"
    exit_code = 2


class BadTargetValueError(EraflowError):
    """A target holds a value outside 0..1, so scores would come out on another scale."""

    code = "target_value"


@dataclass(frozen=True)
class Contract:
    """What was agreed about the data. JSON through `as_dict`, back through `from_dict`.

    Attributes:
        features: of the chosen set, in the order of features.json.
        horizon_days, purge_weeks: of the target; the purge is the lower bound.
        train_eras, validation_eras: resolved eras of each file: not data_type test, target known in at least one row.
        unresolved_eras: the others, from `first_era` on.
        live_rows, live_era: of the live file; no rows is not an error here.
        benchmarks: columns of the benchmark files; benchmark: the chosen one.
        benchmark_eras, meta_model_eras: eras of train and validation in which they are known, joined by id.
        rows: file name -> rows.
        notes: things to know that are no errors.
        auxiliary: other target that some member learns -> its own resolved eras.
    """

    features: tuple[str, ...]
    target: str
    horizon_days: int
    purge_weeks: int
    train_eras: tuple[str, ...]
    validation_eras: tuple[str, ...]
    unresolved_eras: tuple[str, ...]
    live_rows: int
    live_era: str | None
    benchmarks: tuple[str, ...]
    benchmark: str | None
    benchmark_eras: tuple[str, ...]
    meta_model_eras: tuple[str, ...]
    rows: dict[str, int]
    notes: tuple[str, ...] = ()
    auxiliary: dict[str, tuple[str, ...]] = field(default_factory=dict)

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

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return {**plain, "auxiliary": {target: list(eras) for target, eras in self.auxiliary.items()}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Contract:
        """The reverse of `as_dict`."""
        plain: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        others = {target: tuple(eras) for target, eras in values.get("auxiliary", {}).items()}
        return cls(**{**plain, "auxiliary": others})

    def describe(self) -> str:
        """One line for people."""
        resolved = self.resolved_eras
        return "; ".join(
            [
                f"{len(self.features)} features, target {self.target} (horizon {self.horizon_days} days, purge "
                f"{self.purge_weeks} weeks)",
                f"{len(resolved)} resolved eras {resolved[0]} to {resolved[-1]}, {len(self.unresolved_eras)} not yet",
                f"live era {self.live_era} with {self.live_rows} rows",
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


def check_contract(
    folder: DataFiles, data: DataSettings, *, auxiliary: Sequence[str] = (), residual: bool = False
) -> Contract:
    """Check the files against each other, features.json and the settings.

    Args:
        folder: the files.
        data: the run's own target, the features and the benchmark.
        auxiliary: other targets that members learn, of 20 or 60 days.
        residual: some member learns what the benchmark leaves over, so there has to be one.

    Raises:
        an EraflowError for each way to break the contract: MissingFileError, TruncatedFileError, CatalogError,
        UnknownFeatureSetError, MissingFeatureError, FeatureTypeError, BadFeatureValueError, AliasTargetError,
        UnknownHorizonError, MissingTargetError, BadTargetValueError, NullEraError, BadEraError, UnorderedErasError,
        NullIdError, DuplicateIdError, BadDataTypeError, MissingBenchmarkError, CompanionMismatchError,
        TooFewErasError (no era is resolved).
    """
    horizon = target_horizon(data.target, data.alias_horizon)
    for other in auxiliary:
        target_horizon(other)
    catalog = read_catalog(folder.features_json)
    features = catalog.features(data.feature_set)
    footers = [read_footer(path) for path in (folder.train, folder.validation, folder.live)]
    benchmark_footers = [read_footer(path) for path in folder.benchmark_files]
    meta = [read_footer(folder.meta_model)] if folder.meta_model else []
    _check_columns(footers, features, catalog, (data.target, *auxiliary))
    benchmarks = benchmark_columns(benchmark_footers)
    benchmark = choose_benchmark(benchmarks, data.target, data.benchmark)
    if residual and benchmark is None:
        raise MissingBenchmarkError(
            "a member learns what the benchmark leaves over, but the data has no benchmark files",
            "set learn=target for it, or add train_benchmark_models.parquet and validation_benchmark_models.parquet",
        )
    indexes, live = _checked_eras(footers)
    _check_footer_values(footers, features)
    hashes = [id_hashes(footer) for footer in footers]
    check_unique_ids(footers, hashes)
    train_eras, validation_eras = (_resolved(index, data.target, data.first_era) for index in indexes)
    others = {other: _resolved_in_all(indexes, other, data.first_era) for other in auxiliary}
    for name, known in {data.target: train_eras + validation_eras, **others}.items():
        _check_any(known, name, folder)
    resolved = {*train_eras, *validation_eras}
    later = [era for index in indexes for era in index.eras if int(era) >= (data.first_era or 0)]
    return Contract(
        features=features,
        target=data.target,
        horizon_days=horizon,
        purge_weeks=purge_weeks(horizon),
        train_eras=train_eras,
        validation_eras=validation_eras,
        unresolved_eras=tuple(era for era in later if era not in resolved),
        live_rows=live.footer.rows,
        live_era=live.eras[0] if live.eras else None,
        benchmarks=benchmarks,
        benchmark=benchmark,
        benchmark_eras=covered_eras(benchmark, benchmark_footers, indexes, hashes) if benchmark else (),
        meta_model_eras=covered_eras(META_MODEL, meta, indexes, hashes) if meta else (),
        rows={footer.path.name: footer.rows for footer in footers},
        notes=tuple(_notes(footers, catalog, live, folder, benchmark)),
        auxiliary=others,
    )


def _check_columns(
    footers: Sequence[Footer], features: Sequence[str], catalog: Catalog, targets: Sequence[str]
) -> None:
    for footer in footers:
        footer.require_id()
        footer.require([ERA])
        _check_features(footer, features, catalog)
    for footer in footers[:2]:
        _check_target(footer, targets[0], "data.target")
        for other in targets[1:]:
            _check_target(footer, other, "the member's target")


def _checked_eras(footers: Sequence[Footer]) -> tuple[list[EraIndex], EraIndex]:
    """Era indexes of train and validation, and of live."""
    indexes = [read_era_index(footer) for footer in footers[:2]]
    _check_numbered(indexes)
    check_one_sequence(indexes)
    return indexes, _check_live(footers[2])


def _check_any(resolved: Sequence[str], target: str, folder: DataFiles) -> None:
    if not resolved:
        raise TooFewErasError(
            f"no era of {folder.train} and {folder.validation} has a known {target}",
            "choose another target, or lower data.first_era",
        )


def _check_features(footer: Footer, features: Sequence[str], catalog: Catalog) -> None:
    absent = [name for name in features if name not in footer.types]
    if absent:
        extra = [name for name in footer.types if name.startswith("feature") and name not in catalog.known]
        near = difflib.get_close_matches(absent[0], extra, n=1, cutoff=0.8)
        hint = f"; it has {near[0]}, which features.json does not know" if near else ""
        more = f" (and {len(absent) - 1} more features)" if absent[1:] else ""
        raise MissingFeatureError(
            f"{footer.path} has no {absent[0]}{more}{hint}",
            "use the features.json of the same data version, or download both again",
        )
    check_feature_types(footer, features)


def _check_target(footer: Footer, target: str, setting: str) -> None:
    if target not in footer.types:
        there = [name for name in footer.types if name.startswith("target")]
        raise MissingTargetError(
            f"{footer.path} has no {target}; its targets are {', '.join(there) or 'none'}",
            f"set {setting} to one of these",
        )


def _check_numbered(indexes: Sequence[EraIndex]) -> None:
    for index in indexes:
        if LIVE_ERA in index.eras:
            raise BadEraError(f"{index.path} holds the live era {LIVE_ERA}", "download the file again")


def _check_live(live: Footer) -> EraIndex:
    index = read_era_index(live)
    if len(index.eras) > 1:
        raise BadEraError(
            f"{live.path} holds {len(index.eras)} eras ({index.eras[0]} to {index.eras[-1]})",
            "a live file holds one era; download it again",
        )
    return index


def _check_footer_values(footers: Sequence[Footer], features: Sequence[str]) -> None:
    found = ((footer, *extremes) for footer in footers for extremes in footer_extremes(footer, features))
    for footer, name, group, least, most in found:
        # A NaN bound compares false and says nothing, which is right: the values are checked when they are read.
        if least < 0 or most > HIGHEST_CODE:
            value = least if least < 0 else most
            raise BadFeatureValueError(
                f"{footer.path}: {name} is {value} in row group {group} (by the footer)",
                "features are 0 to 4; download the file again",
            )


def _resolved_in_all(indexes: Sequence[EraIndex], target: str, first_era: int | None) -> tuple[str, ...]:
    return tuple(era for index in indexes for era in _resolved(index, target, first_era))


def _resolved(index: EraIndex, target: str, first_era: int | None) -> tuple[str, ...]:
    """Eras that are not test, from `first_era` on, with a known target in at least one row."""
    with decoding(index.path):
        column = index.footer.scan().select(pl.col(target).cast(pl.Float64)).collect().to_series()
    values = column.fill_null(float("nan")).to_numpy()
    outside = np.flatnonzero((values < 0) | (values > 1))
    if outside.size:
        row = int(outside[0])
        raise BadTargetValueError(
            f"{index.path}: {target} is {values[row]} in row {row}, era {index.era_of_row(row)}",
            "targets lie between 0 and 1; download the file again",
        )
    known = any_by_era(np.isfinite(values), index)
    rows = zip(index.eras, index.data_types, known, strict=True)
    return tuple(era for era, kind, has in rows if has and kind != "test" and int(era) >= (first_era or 0))


def _notes(
    footers: Sequence[Footer], catalog: Catalog, live: EraIndex, folder: DataFiles, benchmark: str | None
) -> list[str]:
    notes = []
    for footer in footers:
        extra = [name for name in footer.types if name.startswith("feature") and name not in catalog.known]
        if extra:
            notes.append(f"{footer.path.name} has {len(extra)} features that features.json does not know: {extra[:5]}")
    if not live.eras:
        notes.append("the live file has no rows")
    if benchmark is None:
        notes.append("there is no benchmark, so BMC cannot be computed")
    if folder.meta_model is None:
        notes.append("there is no meta model, so MMC cannot be computed")
    return notes
