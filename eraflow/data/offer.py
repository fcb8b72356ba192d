"""Whether versions, feature sets, targets and benchmarks of the settings exist, before the data are downloaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from eraflow.data.catalog import UnknownFeatureSetError, read_catalog
from eraflow.data.contractcheck import MissingTargetError
from eraflow.data.coverage import benchmark_columns, choose_benchmark
from eraflow.data.eras import ALIAS_TARGET, target_horizon
from eraflow.data.footer import read_footer
from eraflow.errors import EraflowError
from eraflow.foreigntext import cut
from eraflow.settings.data import DataSettings

SHOWN = 60


class UnknownVersionError(EraflowError):
    """The tournament has no data of this version. Its text lists the versions there are."""

    code = "unknown_version"
    exit_code = 2


def check_version(version: str, offered: Iterable[str]) -> None:
    """Whether a version is among the files that are offered (`v5.3/train.parquet`).

    Raises:
        UnknownVersionError: it is not.
    """
    versions = sorted({name.partition("/")[0] for name in offered if "/" in name})
    if version not in versions:
        raise UnknownVersionError(
            f"there are no data of version {cut(version, SHOWN)!r}; there are {_listed(versions)}",
            "set data.version to one of these",
        )


def check_names(
    *,
    features_json: str,
    data: Mapping[str, Any],
    auxiliary: Sequence[str],
    neutralise: str,
    train: str | None,
    benchmarks: Sequence[str] | None,
) -> None:
    """Whether the features, targets and the benchmark of the settings are among those of the data.

    Foreign bytes are parsed here: to be called in a child.

    Args:
        features_json: path of the catalog; its list of targets counts where there is no `train`.
        data: the settings' group of this name.
        auxiliary: other targets that members learn.
        neutralise: name of a feature set, or empty.
        train: path of train.parquet, where it lies on this computer anyway.
        benchmarks: paths of files with the benchmarks' columns; None: not known yet.

    Raises:
        UnknownFeatureSetError, NoFeaturesError, MissingTargetError, MissingBenchmarkError, AliasTargetError,
        UnknownHorizonError, CatalogError: what is wrong, with what there is instead.
    """
    settings, catalog = DataSettings(**data), read_catalog(Path(features_json))
    check_horizons(settings, auxiliary)
    catalog.features(settings.features)
    if neutralise and neutralise not in catalog.sets:
        raise UnknownFeatureSetError(
            f"features.json has no set {cut(neutralise, SHOWN)!r}; it has {_listed(list(catalog.sets))}",
            "set blend.neutralise_features to one of these, or leave it empty for all features of the run",
        )
    there = _targets(train) if train is not None else catalog.targets
    _check_target(settings.target, there, "data.target")
    for other in auxiliary:
        _check_target(other, there, "the member's target")
    if benchmarks is not None:
        choose_benchmark(
            benchmark_columns([read_footer(path) for path in benchmarks]), settings.target, settings.benchmark
        )


def check_horizons(data: DataSettings, auxiliary: Sequence[str]) -> None:
    """Whether the horizon of each target is known.

    Raises:
        AliasTargetError, UnknownHorizonError: it is not.
    """
    target_horizon(data.target, data.alias_horizon)
    for other in auxiliary:
        target_horizon(other)


def _targets(train: str) -> tuple[str, ...]:
    return tuple(name for name in read_footer(train).types if name.startswith("target"))


def _check_target(target: str, there: Sequence[str], setting: str) -> None:
    """A catalog without a list says nothing; the alias need not be in one."""
    if there and target not in there and target != ALIAS_TARGET:
        raise MissingTargetError(
            f"the data have no target {cut(target, SHOWN)}; their targets are {_listed(there)}",
            f"set {setting} to one of these",
        )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(cut(name, SHOWN) for name in names[:SHOWN]) + more if names else "none"
