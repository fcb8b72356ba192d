"""The data contract: everything about the files that later work relies on, checked before that work begins.

It reads footers, features.json, and the columns id, era, data_type and the target; never a feature. What footers
cannot show (a value of 7 in a file without statistics) is checked while the era store is written.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from eraflow.data.catalog import Catalog
from eraflow.data.contract import Contract
from eraflow.data.coverage import (
    META_MODEL,
    Hashes,
    MissingBenchmarkError,
    any_by_era,
    benchmark_columns,
    choose_benchmark,
    covered_eras,
)
from eraflow.data.datafiles import DataFiles
from eraflow.data.eraindex import (
    EraIndex,
    check_one_sequence,
    check_unique_ids,
    id_hashes,
    read_era_index,
)
from eraflow.data.eras import (
    LIVE_ERA,
    BadEraError,
    TooFewErasError,
    purge_weeks,
    target_horizon,
)
from eraflow.data.footer import (
    ERA,
    HIGHEST_CODE,
    BadFeatureValueError,
    Footer,
    MissingColumnError,
    check_feature_types,
    footer_extremes,
    read_footer,
)
from eraflow.errors import EraflowError
from eraflow.settings.data import DataSettings


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


def check_contract(
    folder: DataFiles,
    data: DataSettings,
    catalog: Catalog,
    *,
    auxiliary: Sequence[str] = (),
    residual: bool = False,
) -> Contract:
    """Check the files against each other, features.json and the settings.

    Args:
        folder: the files; without a live file, which `check_live` looks at when its round is open.
        data: the run's own target, the features and the benchmark.
        catalog: what features.json defines.
        auxiliary: other targets that members learn, of 20 or 60 days.
        residual: some member learns what the benchmark leaves over, so there has to be one.

    Raises:
        an EraflowError for each way to break the contract: MissingFileError, TruncatedFileError,
        UnknownFeatureSetError, MissingFeatureError, FeatureTypeError, BadFeatureValueError, AliasTargetError,
        UnknownHorizonError, MissingTargetError, BadTargetValueError, NullEraError, BadEraError, UnorderedErasError,
        NullIdError, DuplicateIdError, BadDataTypeError, MissingBenchmarkError, JoinedFileMismatchError,
        TooFewErasError (no era is resolved).
    """
    horizon = _horizon(data, auxiliary)
    checked = _checked_files(folder, data, catalog, auxiliary, residual)
    indexes, live, footers = checked.indexes, checked.live, checked.footers
    train_eras, validation_eras = (_resolved(index, data.target, data.first_era) for index in indexes)
    others = {other: _resolved_in_all(indexes, other, data.first_era) for other in auxiliary}
    _check_any({data.target: train_eras + validation_eras, **others}, folder)
    return Contract(
        features=checked.features,
        target=data.target,
        horizon_days=horizon,
        purge_weeks=purge_weeks(horizon),
        train_eras=train_eras,
        validation_eras=validation_eras,
        unresolved_eras=_unresolved(indexes, train_eras + validation_eras, data.first_era),
        live_rows=live.footer.rows if live else 0,
        live_era=live.eras[0] if live and live.eras else None,
        benchmarks=checked.benchmarks,
        benchmark=checked.benchmark,
        benchmark_eras=_covered(checked.benchmark, footers.benchmarks, checked),
        meta_model_eras=_covered(META_MODEL, footers.meta_model, checked),
        rows={footer.path.name: footer.rows for footer in footers.data},
        notes=tuple(_notes(checked, folder)),
        auxiliary=others,
        chunks={footer.path.name: footer.chunks for footer in footers.data},
    )


def check_live(live: Path, features: Sequence[str], catalog: Catalog) -> EraIndex:
    """Check a live file that came after the others, as `check_contract` does with all of them.

    Args:
        live: its path.
        features: those of the run.
        catalog: what features.json defines.

    Returns:
        Its one era, or none where it has no rows.

    Raises:
        MissingColumnError, MissingFeatureError, FeatureTypeError, BadFeatureValueError, BadEraError, NullEraError,
        NullIdError, DuplicateIdError: as `check_contract`.
    """
    footer = read_footer(live)
    footer.require_id()
    footer.require([ERA])
    _check_features(footer, features, catalog)
    index = _check_live(footer)
    _check_footer_values([footer], features)
    check_unique_ids([footer], [id_hashes(footer)])
    return index


@dataclass(frozen=True)
class _Footers:
    """Those of train, validation and live, of the benchmark files, and of the meta model, as far as they are there."""

    data: list[Footer]
    benchmarks: list[Footer]
    meta_model: list[Footer]


@dataclass(frozen=True)
class _Checked:
    """What the contract is written from.

    Attributes:
        benchmarks, benchmark: columns that both benchmark files hold, and the chosen one.
        indexes: the eras of train and validation; live: those of the live file, None without one.
        hashes: of the ids, uint64[rows] for each of train, validation and live.
    """

    catalog: Catalog
    features: tuple[str, ...]
    footers: _Footers
    benchmarks: tuple[str, ...]
    benchmark: str | None
    indexes: list[EraIndex]
    live: EraIndex | None
    hashes: list[Hashes]


def _horizon(data: DataSettings, auxiliary: Sequence[str]) -> int:
    """The horizon of the run's own target in trading days; the other targets must have one too."""
    horizon = target_horizon(data.target, data.alias_horizon)
    for other in auxiliary:
        target_horizon(other)
    return horizon


def _checked_files(
    folder: DataFiles, data: DataSettings, catalog: Catalog, auxiliary: Sequence[str], residual: bool
) -> _Checked:
    """All that can be said before the targets are read."""
    features = catalog.features(data.features)
    footers = _read_footers(folder)
    _check_columns(footers.data, features, catalog, (data.target, *auxiliary))
    benchmarks = benchmark_columns(footers.benchmarks)
    benchmark = _benchmark(benchmarks, data, residual)
    indexes, live = _checked_eras(footers.data)
    _check_footer_values(footers.data, features)
    hashes = [id_hashes(footer) for footer in footers.data]
    check_unique_ids(footers.data, hashes)
    return _Checked(catalog, features, footers, benchmarks, benchmark, indexes, live, hashes)


def _read_footers(folder: DataFiles) -> _Footers:
    return _Footers(
        data=[read_footer(path) for path in (folder.train, folder.validation, folder.live) if path is not None],
        benchmarks=[read_footer(path) for path in folder.benchmark_files],
        meta_model=[read_footer(folder.meta_model)] if folder.meta_model else [],
    )


def _benchmark(benchmarks: Sequence[str], data: DataSettings, residual: bool) -> str | None:
    """The benchmark of the run; where a member learns what it leaves over, there has to be one."""
    benchmark = choose_benchmark(benchmarks, data.target, data.benchmark)
    if residual and benchmark is None:
        raise MissingBenchmarkError(
            "a member learns what the benchmark leaves over, but the data has no benchmark files",
            "set learn=target for it, or add train_benchmark_models.parquet and validation_benchmark_models.parquet",
        )
    return benchmark


def _covered(name: str | None, footers: Sequence[Footer], checked: _Checked) -> tuple[str, ...]:
    """The eras in which the column `name` of these files is known; none where there is no such column or file."""
    return covered_eras(name, footers, checked.indexes, checked.hashes) if name and footers else ()


def _unresolved(indexes: Sequence[EraIndex], resolved: Sequence[str], first_era: int | None) -> tuple[str, ...]:
    """The eras from `first_era` on that are not among the resolved ones."""
    known = set(resolved)
    later = (era for index in indexes for era in index.eras if int(era) >= (first_era or 0))
    return tuple(era for era in later if era not in known)


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


def _checked_eras(footers: Sequence[Footer]) -> tuple[list[EraIndex], EraIndex | None]:
    """Era indexes of train and validation, and of live where it is there."""
    indexes = [read_era_index(footer) for footer in footers[:2]]
    _check_numbered(indexes)
    check_one_sequence(indexes)
    return indexes, _check_live(footers[2]) if len(footers) > 2 else None


def _check_any(resolved: Mapping[str, Sequence[str]], folder: DataFiles) -> None:
    """Each target must have a resolved era."""
    for target, eras in resolved.items():
        if not eras:
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
            "a live file holds one era; write or download it again",
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
                "features are 0 to 4; write or download it again",
            )


def _resolved_in_all(indexes: Sequence[EraIndex], target: str, first_era: int | None) -> tuple[str, ...]:
    return tuple(era for index in indexes for era in _resolved(index, target, first_era))


def _resolved(index: EraIndex, target: str, first_era: int | None) -> tuple[str, ...]:
    """Eras that are not test, from `first_era` on, with a known target in at least one row."""
    column = index.footer.read({target: pl.Float64}).to_series()
    values = column.fill_null(float("nan")).to_numpy()
    outside = np.flatnonzero((values < 0) | (values > 1))
    if outside.size:
        row = int(outside[0])
        raise BadTargetValueError(
            f"{index.path}: {target} is {values[row]} in row {row}, era {index.era_of_row(row)}",
            "targets lie between 0 and 1; write or download it again",
        )
    known = any_by_era(np.isfinite(values), index)
    rows = zip(index.eras, index.data_types, known, strict=True)
    return tuple(era for era, kind, has in rows if has and kind != "test" and int(era) >= (first_era or 0))


def _notes(checked: _Checked, folder: DataFiles) -> list[str]:
    notes = []
    for footer in checked.footers.data:
        extra = [name for name in footer.types if name.startswith("feature") and name not in checked.catalog.known]
        if extra:
            notes.append(f"{footer.path.name} has {len(extra)} features that features.json does not know: {extra[:5]}")
    if checked.live is not None and not checked.live.eras:
        notes.append("the live file has no rows")
    if checked.benchmark is None:
        notes.append("there is no benchmark, so BMC cannot be computed")
    if folder.meta_model is None:
        notes.append("there is no meta model, so MMC cannot be computed")
    return notes
