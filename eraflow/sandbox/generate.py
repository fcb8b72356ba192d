"""A folder in tournament layout with a planted signal, written era by era.

The memory needed is that of a few eras, whatever their number. The same settings give the same bytes. The stamp
`generated.json` is written last: a folder without a fitting stamp is generated anew.
"""

from __future__ import annotations

import copy
import json
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import pyarrow as pa

from eraflow.disk.atomic import atomic_path, storage_errors, write_json
from eraflow.sandbox.erasign import EraSign, plant_sign
from eraflow.sandbox.files import TableFile, columns_of, repeated, row_ids, schema
from eraflow.sandbox.naming import Division, FeatureNames, benchmark_column, name_features, target_column
from eraflow.sandbox.outcomes import META_MODEL, write_outcome
from eraflow.sandbox.pairrule import plant_pairs
from eraflow.sandbox.truth import (
    OVERLAP,
    Truth,
    View,
    benchmark_view,
    meta_model_view,
    plant,
    view_scores,
)
from eraflow.settings.source import SandboxSettings

GENERATOR = 1  # raise it when the same settings give other bytes
STAMP = "generated.json"
STALE_SECONDS = 600.0
RESOLVED_LATER = 1000  # weeks after which every target of an era is known, whatever its horizon
BLOCK = 128  # features drawn at once
ALONE_AND_IN_CLUSTER = 0.5, 0.4  # of a feature's variance; a tenth is its group's
ALONE_AND_IN_CLUSTER_BESIDE_THEMES = 0.3, 0.2
FIVE_BINS = (0.05, 0.25, 0.75, 0.95)  # 5/20/50/20/5 %
SEVEN_BINS = (0.02, 0.08, 0.25, 0.75, 0.92, 0.98)
BENCHMARK_FROM = 0.275  # of the training eras: Numerai's benchmark files start at era 158 of 574
META_MODEL_FROM = 0.4  # of the validation eras
MISSING_FEATURES, MISSING_ERAS = 0.05, 0.3  # this share of features is 2 throughout this share of the first eras


@dataclass(frozen=True)
class AuxTarget:
    """A target related to ender: kinship is the correlation of the latent values, nulls the share of missing rows."""

    name: str
    kinship: float
    cuts: tuple[float, ...]
    nulls: float


ENDER = AuxTarget("ender", 1.0, FIVE_BINS, 0.0)
TARGETS = (ENDER, AuxTarget("cyrusd", 0.85, FIVE_BINS, 0.0), AuxTarget("jeremy", 0.6, SEVEN_BINS, 0.01))
COLUMNS = tuple(target_column(target.name, days) for target in TARGETS for days in OVERLAP)


class SwitchedTruth(Protocol):
    """A truth that a switch of the settings plants beside the usual one.

    Attributes:
        strength: about its correlation with the latent targets; the squares of all are a part of their variance.
    """

    strength: ClassVar[float]

    def score(self, era: int, z: np.ndarray) -> np.ndarray:
        """float64[n], of mean 0 and variance 1: z float64[features, n], the centred features of an era."""


@dataclass(frozen=True)
class Era:
    """One generated week: features int8[features, n], targets and views float32[n] by column name."""

    label: str
    data_type: str
    ids: pa.Array
    features: np.ndarray
    targets: dict[str, np.ndarray]
    benchmarks: dict[str, np.ndarray]
    meta_model: np.ndarray


class Generator:
    """Draws any era of a sandbox by itself, in any order: era `t` depends on the settings, the seed and `t` only."""

    def __init__(self, settings: SandboxSettings, version: str = "v5.3", *, seed: int | None = None) -> None:
        self.settings = settings
        self.seed = settings.seed if seed is None else seed
        self.features: FeatureNames = name_features(settings.features, self.seed, divided=_division(settings))
        self.truth: Truth = plant(settings, self.features, self.seed)
        self.switched: list[SwitchedTruth] = []
        if settings.pair_rule:
            self.switched.append(plant_pairs(self.features, self.seed))
        self._sign: EraSign | None = None
        if settings.era_sign:
            self._sign = plant_sign(self.features, settings.train_eras + settings.validation_eras + 1, self.seed)
            self.switched.append(self._sign)
        rows = settings.rows_per_era
        self.benchmarks: dict[str, View] = {
            benchmark_column(version, days): benchmark_view(self.truth, days, rows, self.seed) for days in OVERLAP
        }
        self.meta_model: View = meta_model_view(self.truth, rows, self.seed)
        self.last = settings.train_eras + settings.validation_eras  # position of the live era
        late = np.random.default_rng([self.seed, 41]).permutation(settings.features)
        self._missing = late[: round(MISSING_FEATURES * settings.features)]

    def era(self, position: int) -> Era:
        """Draw era `position` (0 is "0001"; the last one is live, "X", without targets)."""
        codes = self.codes(position)
        z = centred(codes[self.truth.active])
        rng = np.random.default_rng([self.seed, 53, position])
        targets = self._targets(position, z, rng, self._switched_part(position, codes))
        views = {name: uniform_ranks(self._view(view, position, z, rng)) for name, view in self.benchmarks.items()}
        return Era(
            label="X" if position == self.last else f"{position + 1:04d}",
            data_type=self._data_type(position),
            ids=row_ids(self.seed, position * self.settings.rows_per_era, self.settings.rows_per_era),
            features=codes,
            targets=targets,
            benchmarks=views,
            meta_model=uniform_ranks(self._view(self.meta_model, position, z, rng)),
        )

    def seen_from(self, live: int) -> Generator:
        """The same world when era `live` is the live one: what is not resolved by then has no labels."""
        later = copy.copy(self)
        later.last = live
        return later

    def outcome(self, position: int) -> dict[str, Any]:
        """What becomes of the rows of an era, whenever that is known: ids, targets, benchmarks, meta model."""
        era = self.seen_from(position + RESOLVED_LATER).era(position)
        return {"id": era.ids.to_pylist(), **era.targets, **era.benchmarks, META_MODEL: era.meta_model}

    def codes(self, position: int) -> np.ndarray:
        """Features int8[features, rows] of an era: five equal bins each, correlated within clusters and groups."""
        n, names = self.settings.rows_per_era, self.features
        rng = np.random.default_rng([self.seed, 47, position])
        shared = rng.standard_normal((int(names.cluster.max()) + 1, n), dtype=np.float32)
        common = rng.standard_normal((int(names.group.max()) + 1, n), dtype=np.float32)
        codes = np.empty((len(names.names), n), dtype=np.int8)
        themes = None if self._sign is None else self._sign.factors(position, n)
        alone, in_cluster = ALONE_AND_IN_CLUSTER if self._sign is None else ALONE_AND_IN_CLUSTER_BESIDE_THEMES
        for start in range(0, len(codes), BLOCK):
            part = slice(start, start + BLOCK)
            own = rng.standard_normal((len(codes[part]), n), dtype=np.float32)
            own *= np.float32(np.sqrt(alone))
            own += np.float32(np.sqrt(in_cluster)) * shared[names.cluster[part]]
            own += np.float32(np.sqrt(0.1)) * common[names.group[part]]
            if self._sign is not None and themes is not None:
                own += np.float32(np.sqrt(0.4)) * themes[self._sign.theme[part]]
            codes[part] = five_bins(own)
        if position < MISSING_ERAS * self.settings.train_eras:
            codes[self._missing] = 2
        return codes

    def _view(self, view: View, position: int, z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return view_scores(view, self.truth, position, z, rng)

    def _switched_part(self, position: int, codes: np.ndarray) -> np.ndarray | None:
        """What the truths that are switched on add to the latent targets, float64[n]; None: none is on."""
        if not self.switched:
            return None
        z = centred(codes)
        return np.asarray(sum(truth.strength * truth.score(position, z) for truth in self.switched))

    def _targets(
        self, position: int, z: np.ndarray, rng: np.random.Generator, switched: np.ndarray | None
    ) -> dict[str, np.ndarray]:
        n = z.shape[1]
        rest = np.sqrt(1 - sum(truth.strength**2 for truth in self.switched))
        common = np.asarray(rng.standard_normal(n))
        values: dict[str, np.ndarray] = {}
        for days, weeks in OVERLAP.items():
            # 20 days are a part of 60: the rows' own fortunes are shared as well.
            own = common if days == 20 else 0.6 * common + 0.8 * np.asarray(rng.standard_normal(n))
            latent = self.truth.latent(days, position, z, own)
            if switched is not None:
                latent = rest * latent + switched
            for target in TARGETS:
                mixed = target.kinship * latent + np.sqrt(1 - target.kinship**2) * rng.standard_normal(n)
                binned = bins(mixed, target.cuts)
                binned[rng.random(n) < target.nulls] = np.nan
                values[target_column(target.name, days)] = self._unless_open(position, weeks, binned)
        values["target"] = values[target_column("ender", 60)]
        return values

    def _unless_open(self, position: int, weeks: int, values: np.ndarray) -> np.ndarray:
        """The last `weeks` eras before live have no label yet."""
        return np.full_like(values, np.nan) if position >= self.last - weeks else values

    def _data_type(self, position: int) -> str:
        if position == self.last:
            return "live"
        if position < self.settings.train_eras:
            return "train"
        return "test" if position >= self.last - OVERLAP[20] else "validation"


def _division(settings: SandboxSettings) -> Division:
    """The sets that features.json has as groups: those within which a truth is planted."""
    if settings.pair_rule:
        return "clusters"
    return "themes" if settings.era_sign else "groups"


def five_bins(values: np.ndarray) -> np.ndarray:
    """Codes 0..4 int8[features, n] of float32[features, n]: five bins of equal size along each row."""
    n = values.shape[1]
    places = [n * part // 5 for part in range(1, 5)]
    cuts = np.partition(values, places, axis=1)[:, places]
    codes = np.zeros(values.shape, dtype=np.int8)
    for part in range(4):
        codes += values >= cuts[:, part : part + 1]
    return codes


def bins(values: np.ndarray, cuts: tuple[float, ...]) -> np.ndarray:
    """Equally spaced levels in [0, 1], float32[n]: rank shares `cuts` separate them."""
    n = len(values)
    order = np.empty(n, dtype=np.int64)
    order[np.argsort(values, kind="stable")] = np.arange(n)
    edges = np.rint(np.array(cuts) * n)
    return np.asarray(np.searchsorted(edges, order, side="right") / len(cuts), dtype=np.float32)


def uniform_ranks(values: np.ndarray) -> np.ndarray:
    """(rank - 0.5) / n, float32[n] in (0, 1)."""
    ranks = np.empty(len(values))
    ranks[np.argsort(values, kind="stable")] = np.arange(len(values)) + 0.5
    return np.asarray(ranks / len(values), dtype=np.float32)


def centred(codes: np.ndarray) -> np.ndarray:
    """Codes 0..4 in five equal bins -> mean 0, variance 1, float64; a missing feature (2 throughout) becomes 0."""
    return np.asarray((codes.astype(np.float64) - 2) / np.sqrt(2))


def generate(folder: Path, settings: SandboxSettings, version: str = "v5.3", *, seed: int | None = None) -> Path:
    """Write the folder, unless its stamp says that exactly this data is already there.

    Args:
        folder: created when absent; files of the same names are replaced.
        settings: size, strength and seed of the data.
        version: data set version; names the benchmark columns and is kept in the stamp.
        seed: overrides `settings.seed`.

    Raises:
        StorageError: when the disk is full or the folder cannot be written.
    """
    wanted = _stamp(settings, version, settings.seed if seed is None else seed)
    if is_complete(folder, wanted):
        return folder
    with storage_errors(folder):
        (folder / STAMP).unlink(missing_ok=True)
        _sweep(folder)
    generator = Generator(settings, version, seed=seed)
    train, end = settings.train_eras, generator.last
    write_json(folder / "features.json", catalogue(generator))
    write_part(folder, "train", generator, range(train), int(BENCHMARK_FROM * train))
    write_part(folder, "validation", generator, range(train, end), train)
    write_part(folder, "live", generator, range(end, end + 1), end)
    write_outcome(folder, "live", generator.outcome(end))
    files = {path.name: path.stat().st_size for path in sorted(folder.glob("*.parquet"))}
    write_json(folder / STAMP, {**wanted, "files": files})
    return folder


def _sweep(folder: Path) -> None:
    """Remove what a killed run left half written; a file that still grows is somebody's."""
    for leftover in folder.glob(".*.tmp"):
        if time.time() - leftover.stat().st_mtime > STALE_SECONDS:
            leftover.unlink(missing_ok=True)


def is_complete(folder: Path, wanted: dict[str, Any]) -> bool:
    """Whether the folder's stamp fits and every file it lists has its size."""
    try:
        stamp = json.loads((folder / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    files = stamp.pop("files", None)
    if stamp != wanted or not isinstance(files, dict) or not (folder / "features.json").is_file():
        return False
    return all((folder / name).is_file() and (folder / name).stat().st_size == size for name, size in files.items())


def _stamp(settings: SandboxSettings, version: str, seed: int) -> dict[str, Any]:
    return {"generator": GENERATOR, "version": version, "settings": {**settings.identity(), "seed": seed}}


def catalogue(generator: Generator) -> dict[str, Any]:
    """The content of features.json."""
    return {
        "feature_sets": {name: list(members) for name, members in generator.features.sets.items()},
        "targets": ["target", *COLUMNS],
    }


def write_part(folder: Path, part: str, generator: Generator, positions: range, benchmark_from: int) -> None:
    """Write `part`.parquet and what goes beside it; all of them appear together, at the end."""
    with ExitStack() as stack:

        def table(name: str, layout: pa.Schema) -> TableFile:
            temporary = stack.enter_context(atomic_path(folder / name))
            return stack.enter_context(TableFile(temporary, layout))

        main = table(f"{part}.parquet", _main_schema(generator, part))
        beside = table(
            f"{part}_benchmark_models.parquet", _benchmark_schema(generator, id_is_index=part != "validation")
        )
        meta = table("meta_model.parquet", _META_SCHEMA) if part == "validation" else None
        meta_from = positions.start + int(META_MODEL_FROM * len(positions))
        for position in positions:
            era = generator.era(position)
            base = {"id": era.ids, "era": repeated(era.label, len(era.ids))}
            named = columns_of(generator.features.names, era.features)
            main.add(base | {"data_type": repeated(era.data_type, len(era.ids))} | named | era.targets)
            if position >= benchmark_from:
                beside.add(base | era.benchmarks)
            if meta is not None and position >= meta_from:
                meta.add(base | {META_MODEL: era.meta_model})


def _main_schema(generator: Generator, part: str) -> pa.Schema:
    columns = {"era": "str", "data_type": "str"} | dict.fromkeys(generator.features.names, "int8")
    if part != "live":
        columns |= dict.fromkeys(("target", *COLUMNS), "float32")
    return schema(columns, id_is_index=True)


def _benchmark_schema(generator: Generator, *, id_is_index: bool) -> pa.Schema:
    return schema({"era": "str"} | dict.fromkeys(generator.benchmarks, "float32"), id_is_index=id_is_index)


_META_SCHEMA = schema({"era": "str", "numerai_meta_model": "float32"}, id_is_index=False)
