"""One member's fits: what it learns, from which rows and columns of the era store, on which road."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from eraflow.data.eras import era_number, target_purge
from eraflow.data.membereras import Member
from eraflow.disk.atomic import storage_errors
from eraflow.disk.digest import value_sha256
from eraflow.erastore.erareader import EraStore
from eraflow.machine.plan import Plan
from eraflow.scoring.ranking import EraGroups
from eraflow.scoring.residual import benchmark_residual
from models.bags.parts import BagPart, parts_of
from models.base.furthertargets import FurtherTargets
from models.base.predictions import Predictions
from models.base.protocol import Codes, Model, ProgressFn, check_predictions
from models.base.seeds import derived_seed
from models.base.wholeeras import FitEras, fit_in_eras, predict_in_eras
from models.boosters.bincache import BinCache
from models.compression.codedmodel import CodedModel
from models.compression.codedstore import LearnedCode, LearntRows, code_columns, coded_store, encoder_of
from models.kinds import make_model
from models.networks.basestore import BaseStore
from models.training.importance import write_fold_importance
from models.training.job import ImportanceSample, KeptBases, KeptBins
from models.training.selectedfeatures import columns_in, columns_of

SCRATCH = "scratch"
CHECKPOINTS = "checkpoints"
OF_BASES = 1 << 20
"""The position whose seed bases have: that of no fit, so that all fits share them."""
WINDOW = "window"
"""Folder for the columns of a fit, while it lasts."""
CODE_GROUP = "code"
"""Name of the group of the columns of the code, for a kind that learns by groups."""

log = logging.getLogger("eraflow.trainer")


@dataclass(frozen=True)
class Trainer:
    """What all fits of one member share.

    Attributes:
        out: the stage's folder.
        store: the data.
        member: what is trained.
        seed: of the run; each fit draws its own from it and its position.
        plan: how to use the machine.
        bins: where binned rows are kept between fits; None: nowhere.
        code: of the features, where it learns from one.
        seen: the store of one fit, see `seeing`; None: that of all.
        importance: how the importance of features is measured in each fold; None: it is not.
        bases: where the bases of networks are kept from week to week; None: nowhere.
    """

    out: Path
    store: EraStore
    member: Member
    seed: int
    plan: Plan
    bins: KeptBins | None = None
    importance: ImportanceSample | None = None
    bases: KeptBases | None = None
    code: LearnedCode | None = None
    seen: LearntRows | None = None

    @contextmanager
    def seeing(self, position: int) -> Iterator[Trainer]:
        """The trainer of one fit, which sees the code of that window; without a code, this one.

        Args:
            position: the fold's index, or the number of folds for live.
        """
        if self.code is None:
            yield self
            return
        with coded_store(self.store, self.code, position, self.out / WINDOW, self.plan.rows_in_memory) as seen:
            yield replace(self, seen=seen)

    @property
    def rows(self) -> LearntRows:
        """What it learns from and predicts."""
        return self.store if self.seen is None else self.seen

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the columns of a fit."""
        return self.store.features if self.code is None else self.code.columns(self.store.features)

    def with_encoder(self, model: Model, position: int) -> Model:
        """The model of a fit as it predicts from the features alone."""
        if self.code is None:
            return model
        coded: Any = CodedModel(model, encoder_of(self.code, position), self.code.use)
        return cast(Model, coded)

    def fit(self, eras: Sequence[str], position: int, progress: ProgressFn, length: float | None = None) -> Model:
        """A new model that has learnt from `eras`.

        Args:
            eras: in order.
            position: the fold's index, or the number of folds for live.
            progress: told how far it is.
            length: see `models.base.wholeeras.FitEras`.
        """
        x, y = training_view(self.rows, self.member.target, eras, self.member.benchmark)
        further = further_targets(self.store, self.member.also, eras)
        with _scratch(self.out / SCRATCH) as scratch:
            model = make_model(
                self.member.kind,
                self.member.params,
                scratch=scratch,
                checkpoints=self.checkpoints(eras, position),
                columns=self.columns(position),
                bins=self._bins(eras, position),
                source=self.member.source,
                groups=self.groups(),
                bases=self._base_store(position),
                parts=self.bag_parts(position),
            )
            known = fit_eras(self.store, eras, own_purge(self.member), length)
            seed = self.seed_of(position)
            fit_in_eras(model, x, y, known, plan=self.plan, seed=seed, progress=progress, further=further)
        return model

    def seed_of(self, position: int) -> int:
        """The seed of a fit; that of a fold hangs on the first era it is judged on, not on its place.

        For when the oldest window falls off, each of the others has another place, and learns what it did.
        """
        windows = self.member.windows
        part = era_number(windows[position].test[0]) if position < len(windows) else position
        return derived_seed(self.seed, part)

    def columns(self, position: int) -> tuple[int, ...] | None:
        """Ascending positions of the features that a fit uses, or None for all."""
        chosen = self.member.features
        if chosen is None:
            return None
        code = () if self.code is None else code_columns(self.code.size)
        return columns_of([(*names, *code) for names in chosen], position, self.features)

    def bag_parts(self, position: int) -> tuple[BagPart, ...] | None:
        """The fits of a bag, each on those features of its set that a fit uses; None: the member is no bag.

        Raises:
            SelectionFileError: the selection leaves nothing of a set.
        """
        bag, used = self.member.bag, self.columns(position)
        if bag is None:
            return None
        code = () if self.code is None else code_columns(self.code.size)
        return parts_of(bag, {each.name: columns_in(each.features, code, used, self.features) for each in bag.sets})

    def groups(self) -> dict[str, tuple[int, ...]] | None:
        """Positions of the features of each named group, for a kind that learns by groups."""
        named = positions_of(self.member.groups, self.features)
        if named is None or self.code is None:
            return named
        place = {feature: at for at, feature in enumerate(self.features)}
        return {**named, CODE_GROUP: tuple(place[name] for name in code_columns(self.code.size))}

    def checkpoints(self, eras: Sequence[str], position: int) -> Path:
        """Where the checkpoints of one fit lie: a folder named after all that decides what it learns.

        It outlives a killed attempt, unlike the scratch folder.
        """
        parts = {**self.parts(position), "eras": list(eras), "position": position}
        return self.out / CHECKPOINTS / f"{position}-{value_sha256(parts)[:16]}"

    def predict(self, model: Model, eras: Sequence[str]) -> Predictions:
        """Predictions of all rows of `eras`, checked."""
        values = predict_in_eras(model, self.rows.matrix(eras), self.store.offsets(eras), plan=self.plan)
        check_predictions(values, f"{self.member.name} on eras {eras[0]} to {eras[-1]}")
        return Predictions(self.store.ids(eras), tuple(eras), EraGroups(self.store.offsets(eras)), values)

    def measure(self, model: Model, eras: Sequence[str], position: int) -> None:
        """Write the importance of features to a fold's model on the eras that it is judged on, when that is wanted.

        Nothing depends on it but what people look at, so what goes wrong here costs the page, not the model. Only a
        lack of memory is the stage's matter: it is answered with a smaller plan.
        """
        if self.importance is None:
            return
        try:
            write_fold_importance(
                self.out,
                position,
                model,
                self.rows,
                self.importance.target,
                eras,
                rows=self.importance.rows,
                seed=self.seed,
                plan=self.plan,
            )
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001
            log.warning("the importance in fold %d is not known: %s: %s", position + 1, type(error).__name__, error)

    def fold_signature(self, position: int) -> str:
        """The name of a fold's work; a fold file made under another one is made anew."""
        return value_sha256({**self.parts(position), "window": asdict(self.member.windows[position])})

    def parts(self, position: int) -> dict[str, Any]:
        """What decides a fit beside its eras. The member's name, its plan and where bins are kept decide nothing."""
        columns, parts = self.columns(position), self.bag_parts(position)
        return {
            "kind": self.member.kind,
            "params": self.member.params,
            "target": self.member.target,
            "benchmark": self.member.benchmark,
            "seed": self.seed,
            "features": list(self.features),
            "columns": None if columns is None else list(columns),
            "rows": self.store.n_rows,
            "source": self.member.source,
            "groups": self.groups(),
            **({"also": self.member.also} if self.member.also else {}),
            **({} if parts is None else {"bag": [part.described() for part in parts]}),
            **({} if self.code is None else {"encoder": encoder_of(self.code, position).signature}),
        }

    def _base_store(self, position: int) -> BaseStore:
        folder, code = (None, "") if self.bases is None else (self.bases.folder, self.bases.code)
        if self.code is not None:  # the columns of another window mean something else
            code += f":{self.code.use}-{encoder_of(self.code, position).signature}"
        return BaseStore(folder, code, derived_seed(self.seed, OF_BASES))

    def _bins(self, eras: Sequence[str], position: int) -> BinCache | None:
        if self.bins is None:
            return None
        key = f"{self.bins.data_key}:{eras[0]}-{eras[-1]}"
        if self.code is not None:
            key += f":{self.code.use}-{encoder_of(self.code, position).signature}"
        return BinCache(self.bins.folder, key, self.bins.most_mb)


def training_view(
    store: LearntRows, target: str, eras: Sequence[str], benchmark: str | None = None
) -> tuple[Codes, npt.NDArray[np.float32]]:
    """The matrix and target to learn from, without a copy of the matrix.

    When eras are subsampled, the rows between them are part of the view, and their target is NaN: models leave such
    rows out tile by tile. With `benchmark`, a column of the store, the target is what that leaves over.

    Returns:
        int8[n, f], a view of the store from the first to the last era, and float32[n].
    """
    span = _span(store, eras)
    exact = store.column(target, span)
    if benchmark is not None:
        exact = benchmark_residual(exact, store.column(benchmark, span), EraGroups(store.offsets(span)))
    y = exact.astype(np.float32)
    if len(span) != len(eras):
        wanted = set(eras)
        chosen = np.array([era in wanted for era in store.eras])
        y[~chosen[store.era_codes(span)]] = np.nan
    return store.matrix(span), y


def fit_eras(store: EraStore, eras: Sequence[str], purge_weeks: int, length: float | None = None) -> FitEras:
    """What a fit on `eras` is told of the rows of its view; `purge_weeks` and `length` as in FitEras."""
    span = _span(store, eras)
    weeks = np.array([era_number(era) for era in span], dtype=np.int64)
    return FitEras(store.offsets(span), weeks, purge_weeks, length)


def positions_of(
    groups: Mapping[str, Sequence[str]] | None, features: Sequence[str]
) -> dict[str, tuple[int, ...]] | None:
    """Named groups of features as positions in `features`; what is not there is left out."""
    if groups is None:
        return None
    place = {feature: at for at, feature in enumerate(features)}
    return {name: tuple(place[one] for one in members if one in place) for name, members in groups.items()}


def further_targets(store: EraStore, also: Mapping[str, float], eras: Sequence[str]) -> FurtherTargets | None:
    """What is learnt beside the target, in the rows of `training_view`; None: nothing."""
    if not also:
        return None
    values = np.stack([training_view(store, name, eras)[1] for name in also], axis=1)
    return FurtherTargets(values, tuple(also.values()))


def own_purge(member: Member) -> int:
    """How far the labels that are learnt reach, with the margin; the alias does not tell it, the windows do."""
    return learnt_purge((member.target, *member.also), member.windows[0].purge_weeks)


def learnt_purge(targets: Sequence[str], otherwise: int) -> int:
    """The longest purge of what is learnt; see `eraflow.data.eras.target_purge`."""
    return max(target_purge(target, otherwise) for target in targets)


def _span(store: LearntRows, eras: Sequence[str]) -> tuple[str, ...]:
    """All eras of the store from the first to the last of `eras`."""
    return store.eras[store.eras.index(eras[0]) : store.eras.index(eras[-1]) + 1]


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A folder that lives as long as a fit; what a killed attempt left there goes first."""
    shutil.rmtree(folder, ignore_errors=True)
    with storage_errors(folder):
        folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
