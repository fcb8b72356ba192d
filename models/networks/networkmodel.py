"""What models that are networks of torch share: parameters, the target's scale, prediction in NumPy, the saved form."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from eraflow.machine.plan import Plan
from models.base.fitted import check_features, check_finite, check_saved_is_fitted
from models.base.furthertargets import FurtherTargets
from models.base.protocol import Codes, FloatArray, ProgressFn
from models.base.rows import Columns, TrainingRows, tiles
from models.base.saved import read_model, trained_with, write_model
from models.base.searched import Searched, UpdateWatch
from models.base.wholeeras import FitEras, needs_whole_eras
from models.networks.blocks import BLOCK_ROWS, in_block
from models.networks.fitdata import FitData
from models.networks.parameters import OF_TRAINING, TRAINING_DEFAULTS, Accepted, check_parameters
from models.networks.torchlibrary import torch_library, usable_device
from models.networks.updatelooks import UpdateLooks
from models.networks.updateranges import SEARCHED_WITH
from models.networks.weightfile import Arrays, read_arrays, to_bytes

if TYPE_CHECKING:
    from models.networks.network import Network
    from models.networks.progress import CurvePoint

Computing = Callable[[Arrays, Codes], npt.NDArray[np.float32]]
FILE = "weights.npy"
OF_NETWORK = "/"
"""Between the number of a network and the name of one of its arrays, which is made of names and dots."""


class NetworkModel(Searched, ABC):
    """A model whose training is that of a module, row by row, and whose prediction is a function in NumPy.

    A subclass says what it is called, its parameters, how its module is made and judged, and the same function in
    NumPy. torch is imported only when a model is trained.

    The target is standardised within each era learnt from, and the predictions are given back in the units of them all.
    The last of these eras, `validation_share` of them, are kept back with the purge before them, and the training is
    stopped by their CORR; where the eras are not given, or too few, it runs to its end. `seeds` networks are trained
    one after the other and averaged. See `models.networks.loop` for the training.

    Memory above that of torch and its optimiser (about 210 MiB): 24 bytes for each weight (itself, its gradient, two
    moments of the optimiser, one gradient on the way, itself when it was best) plus, for each thread, 4 bytes for each
    weight and what the forward pass of 256 rows holds; 40 bytes for each row for its number and targets. The matrix is
    read in place. `plan.threads`, `batch_rows`, `rows_in_memory` and `low_memory` do not change the model's bytes on
    the CPU.

    Attributes:
        kind: a row of `eraflow.kinds`.
        defaults: of its parameters; they go before TRAINING_DEFAULTS of models/networks/parameters.py.
        accepted: which values each may have, beside those of the training.
        accepted_besides: the same of parameters that a model has only where they are given.
        unneeded: how the names of the arrays begin that only the training needs; they are not saved.
        curves: what each network's training looked like, once it was fitted.
        lengths: of each network, the share of its planned updates after which it was best.
    """

    kind: ClassVar[str]
    library = "torch"
    learns_by_era = True
    length_name = "updates"
    length_unit = "updates"
    looks_add = False
    searched_with = SEARCHED_WITH
    defaults: ClassVar[Mapping[str, Any]]
    accepted: ClassVar[Mapping[str, Accepted]]
    accepted_besides: ClassVar[Mapping[str, Accepted]] = {}
    unneeded: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        *,
        params: Mapping[str, Any] | None = None,
        scratch: Path | None = None,  # not used
        checkpoints: Path | None = None,
        columns: Sequence[int] | None = None,
        bins: object = None,  # not used: there are no bins
    ) -> None:
        self.params: dict[str, Any] = {**TRAINING_DEFAULTS, **self.defaults, **(params or {})}
        check_parameters(self.kind, {**self.accepted, **self.accepted_besides, **OF_TRAINING}, self.params)
        self.checkpoints = checkpoints
        self._columns = Columns(columns)
        self.n_features = 0
        self.trained_with: dict[str, Any] = {}
        self._library_version = ""
        self._weights: Arrays = {}
        self._further: list[Arrays] = []  # of the second seed and those after it
        self.curves: list[tuple[CurvePoint, ...]] = []
        self.lengths: list[float] = []
        self._centre, self._scale = 0.0, 1.0  # of the target

    @classmethod
    def usable(cls, params: Mapping[str, Any]) -> dict[str, Any]:
        """The kind's own parameters, for what is expected of its memory: a wrong value is named where the model is
        made, and the usual one stands in for it here.
        """
        own = {**cls.defaults, **params}
        return {name: own[name] if check[0](own[name]) else cls.defaults[name] for name, check in cls.accepted.items()}

    @property
    def columns(self) -> tuple[int, ...] | None:
        """The columns of x that it uses; None: all."""
        return self._columns.positions

    @property
    def networks(self) -> list[Arrays]:
        """The weights of its networks, one for each seed."""
        return [self._weights, *self._further]

    def with_networks(self, networks: Sequence[Arrays]) -> Self:
        """The same model with other weights of the same shapes."""
        other = copy.copy(self)
        other._weights, *other._further = networks
        return other

    def fit(
        self,
        x: Codes,
        y: npt.NDArray[np.floating[Any]],
        *,
        plan: Plan,
        seed: int,
        progress: ProgressFn | None = None,
        eras: FitEras | None = None,
        watch: UpdateWatch | None = None,
        further: FurtherTargets | None = None,
    ) -> None:
        """Learn from the rows with a known target; see `models.base.protocol.Model`.

        Args:
            x, y, plan, seed, progress: as there.
            eras: of the rows; None: they are one.
            watch: looks at the weights every now and then, and may end the fit. One network is trained then, whatever
                `seeds` says. Where eras that were kept back end it earlier, the looks left see the best weights.
            further: targets that are learnt besides, by heads that are not kept; None: none.

        Raises:
            TrainingDataError: nothing to learn from, or arrays that do not fit.
            ConstantPredictionsError: all targets of an era are equal.
            MissingLibraryError: torch is not installed.
            StageNaN, StageDiverged, StageStalled: the training went wrong.
        """
        share = self.params["validation_share"]
        learnt = FitData.of(
            x, y, eras, plan=plan, columns=self._columns, validation_share=share, who=self.kind, further=further
        )
        self._centre, self._scale = learnt.centre, learnt.scale
        self._prepare(learnt.rows, seed)
        self._library_version = self._version()
        self.n_features = learnt.rows.width
        looks = None if watch is None else UpdateLooks(watch, self)
        figures = self._train(learnt, plan, seed, progress, looks)
        if looks is not None:
            looks.finish()
        self.trained_with = trained_with(plan, "rate_factor", "clip_norm", "precision", "work_factor", **figures)

    def _train(
        self, learnt: FitData, plan: Plan, seed: int, progress: ProgressFn | None, looks: UpdateLooks | None
    ) -> dict[str, Any]:
        """Train a network for each seed and take over its weights; what stands in `model.json` of how that was done."""
        from models.networks.seeds import train_seeds  # it needs torch

        networks: list[Arrays] = []
        figures: dict[str, Any] = {"device": usable_device(plan)}
        self.curves, self.lengths, updates = [], [], []
        for trained in train_seeds(
            self._network(learnt.rows.n_features),
            learnt,
            self.params,
            plan=plan,
            seed=seed,
            who=self.kind,
            checkpoints=self.checkpoints,
            progress=progress,
            look=None if looks is None else partial(self._look, looks),
        ):
            networks.append(_arrays(trained.module))
            self.curves.append(trained.curve)
            self.lengths.append(min(1.0, trained.updates / trained.planned))
            updates.append(trained.updates)
            if trained.rows_at_once is not None:
                figures["rows_at_once"] = trained.rows_at_once
        self._weights, *self._further = networks
        figures["updates"] = updates[0] if len(updates) == 1 else updates
        return figures

    def _look(self, looks: UpdateLooks, updates: int, module: Any) -> bool:
        """After an update: let a watch look at the weights of now, when it is time; whether to stop."""
        if not looks.due(updates):
            return False
        self._weights, self._further = _arrays(module), []
        return looks.look()

    def predict(self, x: Codes, *, plan: Plan | None = None) -> FloatArray:
        """float64[n]: predictions in units of the target.

        Blocks of one size, each computed by one thread: a row's prediction does not depend on its neighbours, the
        tiles or the threads.

        Raises:
            DamagedModelError: it was neither fitted nor loaded, or x has another number of features.
            StageNaN: a prediction is not finite.
        """
        return self._predicted(x, tiles(len(x), BLOCK_ROWS), self._in_block, plan or Plan())

    def _predicted(self, x: Codes, parts: Iterable[slice], compute: Computing, plan: Plan) -> FloatArray:
        """float64[n], part by part, each computed by one thread; errors as for `predict`.

        Args:
            x: int8[n, width].
            parts: which cover the rows.
            compute: what a network of these weights says of the rows of a part, int8[m, f].
            plan: its threads.
        """
        check_features(self.kind, self.n_features, x, fitted=bool(self._weights))
        result = np.empty(len(x), dtype=np.float64)
        networks = self.networks

        def part(rows: slice) -> None:
            codes = self._columns.of(x[rows])
            found = [compute(weights, codes) for weights in networks]
            result[rows] = np.stack(found).mean(axis=0, dtype=np.float64)

        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(plan.threads) as pool:
            for _ in pool.map(part, parts):
                pass
        check_finite(self.kind, result)
        return result * self._scale + self._centre

    def _in_block(self, weights: Arrays, codes: Codes) -> npt.NDArray[np.float32]:
        """float32[m] for up to BLOCK_ROWS rows, which are filled up to that many."""
        return in_block(self._forward, weights, codes)

    @property
    def array_function(self) -> Callable[..., npt.NDArray[np.float32]]:
        """Its function in NumPy: `models.networks.blocks.Forward`; of a model that needs whole eras, from the weights
        and int8[n, f] of a whole era to float32[n].
        """
        return self._forward

    @property
    def target_scale(self) -> tuple[float, float]:
        """Centre and scale of the target: a prediction is what the networks say times the scale, plus the centre."""
        return self._centre, self._scale

    def save(self, folder: Path) -> None:
        """Write the weights as plain arrays and, last, `model.json`."""
        check_saved_is_fitted(self.kind, fitted=bool(self._weights))
        arrays = self._needed_weights()
        description = {
            "kind": self.kind,
            "n_features": self.n_features,
            **({} if self.columns is None else {"columns": list(self.columns)}),
            "params": self.params,
            **({"needs_whole_eras": True} if needs_whole_eras(self) else {}),
            "trained_with": self.trained_with,
            "target_centre": self._centre,
            "target_scale": self._scale,
            "arrays": list(arrays),
            "library": self.library,
            "library_version": self._library_version,
            **self._further_description(),
        }
        write_model(folder, FILE, to_bytes(arrays), description)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; torch is not needed.

        Raises:
            DamagedModelError: a file is missing, changed or of another kind.
        """
        description, path = read_model(folder, cls.kind)
        model = cls(params=description["params"], columns=description.get("columns"))
        model.n_features = int(description["n_features"])
        model.trained_with = dict(description["trained_with"])
        model._library_version = str(description["library_version"])
        model._centre, model._scale = float(description["target_centre"]), float(description["target_scale"])
        model._put(read_arrays(path, description["arrays"]))
        return model

    def _all_weights(self) -> Arrays:
        """The weights of all networks under one name each; those of the first bear the names that they have."""
        further = {
            f"{number}{OF_NETWORK}{name}": array
            for number, weights in enumerate(self._further, start=1)
            for name, array in weights.items()
        }
        return {**self._weights, **further}

    def _needed_weights(self) -> Arrays:
        """Those of them without which it cannot predict."""
        arrays = self._all_weights().items()
        return {name: each for name, each in arrays if not name.rpartition(OF_NETWORK)[2].startswith(self.unneeded)}

    def _put(self, arrays: Arrays) -> None:
        """The inverse of `_all_weights`."""
        own = {name: array for name, array in arrays.items() if OF_NETWORK not in name}
        count = len(arrays) // len(own)
        self._weights = own
        self._further = [{name: arrays[f"{number}{OF_NETWORK}{name}"] for name in own} for number in range(1, count)]

    def _further_description(self) -> dict[str, Any]:
        """What a kind says of itself in `model.json` besides."""
        return {}

    def _version(self) -> str:
        """Of the library that trains it.

        Raises:
            MissingLibraryError: it is not installed.
        """
        return str(torch_library().__version__)

    def _prepare(self, rows: TrainingRows, seed: int) -> None:
        """What a kind takes from the rows learnt from before `_network` is asked; nothing for most kinds."""

    @abstractmethod
    def _network(self, n_features: int) -> Network:
        """The module and its loss, for this many columns."""

    @staticmethod
    @abstractmethod
    def _forward(weights: Arrays, codes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """What the trained module gives, float32[n].

        Args:
            weights: the module's state_dict as arrays.
            codes: float32[n, f], may be overwritten. n is always BLOCK_ROWS, and a row must not depend on its place.
        """


def _arrays(module: Any) -> Arrays:
    """The state_dict of a module of torch, as arrays of the CPU; without heads that only its training has."""
    alone = getattr(module, "without_heads", module)
    return {name: tensor.detach().cpu().numpy() for name, tensor in alone.state_dict().items()}
