"""A transformer over groups of features: trained with torch and Transformers, predicted with NumPy alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from eraflow.machine.plan import Plan
from models.base.furthertargets import FurtherTargets
from models.base.protocol import Codes, FloatArray, ModelSettingsError, ProgressFn, read_description
from models.base.ranges import Range
from models.base.rows import TrainingRows
from models.base.searched import UpdateWatch
from models.base.wholeeras import FitEras, Offsets, one_era, one_fit_era
from models.networks import updateranges
from models.networks.adaptationsettings import OF_ADAPTATION, adapts, with_adaptation, without_adaptation
from models.networks.basestore import BaseStore
from models.networks.blocks import BLOCK_ROWS
from models.networks.eratransformerarrays import forward_era
from models.networks.featuregroups import Groups, correlated_groups, named_groups, shuffled_groups
from models.networks.networkmodel import NetworkModel
from models.networks.parameters import SHARE, WHOLE, Accepted
from models.networks.peftlibrary import missing_peft
from models.networks.transformerarrays import forward
from models.networks.transformershape import Shape
from models.networks.transformerslibrary import transformers_library
from models.networks.updatelooks import UpdateLooks
from models.networks.weightfile import Arrays

if TYPE_CHECKING:
    from models.networks.adaptation import Adaptation, Adapted
    from models.networks.network import Network

LEAST_GROUPS = 2
"""Of named ones; fewer leave nothing to attend to, so groups are made by correlation."""


class TransformerModel(NetworkModel):
    """Tokens are groups of features, each a learned projection; an encoder attends across them. Squared error.

    The groups are the named ones of features.json. Where there are none, or with `groups="correlated"`, features that
    go together in the training rows make `tokens` groups. `groups="shuffled"` is the control: the same sizes, drawn by
    chance.

    With `across="era"` the rows of an era attend to each other, too, through `points` induced ones. Such a model needs
    whole eras, in training and in prediction, and a piece is an era.

    With `adapt="lora"` it is made of a base that is trained rarely and of adapters that learn from the newest eras; see
    models/networks/adaptation.py.

    What each thread holds is told by `thread_bytes`.

    Args:
        groups: name -> positions of the columns of x, as features.json has them; None: there are none.
        bases: where bases are kept, for `adapt="lora"`; None: nowhere.

    Attributes:
        adaptation: with `adapt="lora"`, which base it is made of and whether adapters were merged, JSON values; it
            stands in `model.json`.
        adaptation_told: of the fit alone: how long each part took, and whether the base was there.
    """

    kind = "transformer"
    library = "transformers"
    # Width, layers, dropout and the rate are those of the best of three configurations that were compared on
    # Numerai-like data: fewer tokens and one layer did better than more. The number of updates decides, not the shape.
    defaults: ClassVar[Mapping[str, Any]] = {
        "across": "groups",
        "points": 16,
        "groups": "named",
        "tokens": 12,
        "width": 48,
        "layers": 1,
        "heads": 4,
        "feedforward": 96,
        "dropout": 0.3,
    }
    accepted: ClassVar[Mapping[str, Accepted]] = {
        "across": (lambda v: v in ("groups", "era"), "groups or era"),
        "points": WHOLE,
        "groups": (lambda v: v in ("named", "correlated", "shuffled"), "named, correlated or shuffled"),
        "tokens": WHOLE,
        "width": WHOLE,
        "layers": WHOLE,
        "heads": WHOLE,
        "feedforward": WHOLE,
        "dropout": SHARE,
    }
    accepted_besides = OF_ADAPTATION

    starting_points: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"updates": 200},
        {"updates": 200, "width": 32, "dropout": 0.1},
    )

    @staticmethod
    def search_ranges(known: Mapping[str, Any], rows: int, features: int) -> tuple[Range, ...]:
        """See `models.base.searched.Searched`."""
        heads = int(known["heads"])
        width = Range(
            "width",
            heads * max(1, round(16 / heads)),
            heads * max(2, round(96 / heads)),
            "of a token, a multiple of the heads: smaller encoders did better than larger ones",
            integer=True,
            multiple=heads,
        )
        tokens = Range("tokens", 4, 32, "groups that correlation makes; ten did better than twenty", integer=True)
        points = Range("points", 4, 64, "through which the rows of an era attend to each other", integer=True)
        return (
            *updateranges.of_training(known["learning_rate"]),
            updateranges.dropout(0.05, 0.5),
            width,
            Range("layers", 1, 3, "one did better than two", log=False, integer=True),
            *((tokens,) if known["groups"] == "correlated" else ()),
            *((points,) if known["across"] == "era" else ()),
        )

    def __init__(
        self,
        *,
        params: Mapping[str, Any] | None = None,
        scratch: Path | None = None,
        checkpoints: Path | None = None,
        columns: Sequence[int] | None = None,
        bins: object = None,
        groups: Mapping[str, Sequence[int]] | None = None,
        bases: BaseStore | None = None,
    ) -> None:
        params = with_adaptation(self.kind, params or {})
        super().__init__(params=params, scratch=scratch, checkpoints=checkpoints, columns=columns, bins=bins)
        width, heads = self.params["width"], self.params["heads"]
        if width % heads:
            raise ModelSettingsError(
                f"{self.kind}: width is {width} and heads is {heads}", "make width a multiple of heads"
            )
        self._named = dict(groups or {})
        self._tokens: Groups = {}
        self._bases = bases
        self.adaptation: dict[str, Any] = {}
        self.adaptation_told: dict[str, Any] = {}

    @property
    def needs_whole_eras(self) -> bool:
        """Whether the rows of an era attend to each other."""
        return bool(self.params["across"] == "era")

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
        """Learn; see `NetworkModel.fit`.

        Raises:
            MissingLibraryError: with `adapt="lora"`, PEFT is not installed.
            ModelSettingsError: with `adapt="lora"`, further targets are to be learnt.
        """
        if adapts(self.params):
            if further is not None:
                raise ModelSettingsError("a transformer that is adapted learns one target", "leave also_learn out")
            self._take(self._adaptation(plan, seed, progress).of(x, y, eras or one_fit_era(len(x))))
            if watch is not None:  # what is adapted is looked at when it is done
                UpdateLooks(watch, self).finish()
            return
        rows = TrainingRows(x, y, plan.rows_in_memory, self._columns)
        self._tokens = self._grouped(rows, seed)
        super().fit(x, y, plan=plan, seed=seed, progress=progress, eras=eras, watch=watch, further=further)
        self.trained_with["tokens"] = {name: len(members) for name, members in self._tokens.items()}

    def check_installed(self) -> None:
        """Raise MissingLibraryError where the parameters ask for a library that is not installed; imports nothing."""
        if adapts(self.params) and find_spec("peft") is None:
            raise missing_peft("it is not installed")

    def _adaptation(self, plan: Plan, seed: int, progress: ProgressFn | None) -> Adaptation:
        from models.networks.adaptation import Adaptation  # it needs torch

        place = self.checkpoints
        base = TransformerModel(
            params=without_adaptation(self.params),
            checkpoints=None if place is None else place / "base",
            columns=self.columns,
            groups=self._named,
        )
        store = self._bases or BaseStore(None, "", seed)
        return Adaptation(base, self._network_of, self.params, self._named, store, plan, seed, place, progress)

    def _take(self, found: Adapted) -> None:
        """Become what an adaptation made."""
        made = found.model
        self._weights, *self._further = made.networks
        self._centre, self._scale, self.n_features = made._centre, made._scale, made.n_features
        self._library_version, self.trained_with = made._library_version, made.trained_with
        self.curves, self.lengths = made.curves, []  # a base finds its own length, whatever later windows would say
        self.adaptation, self.adaptation_told = found.record, found.told

    def _network_of(self, weights: Arrays) -> Network:
        """The network of some weights: its groups stand in them."""
        ends = np.cumsum(weights["sizes"])[:-1]
        parts = np.split(weights["order"], ends)
        self._tokens = {str(number): tuple(part.tolist()) for number, part in enumerate(parts)}
        return self._network(int(weights["sizes"].sum()))

    def _further_description(self) -> dict[str, Any]:
        return {"adaptation": self.adaptation} if self.adaptation else {}

    @classmethod
    def load(cls, folder: Path) -> Self:
        """See `NetworkModel.load`."""
        model = super().load(folder)
        model.adaptation = dict(read_description(folder).get("adaptation", {}))
        return model

    def _grouped(self, rows: TrainingRows, seed: int) -> Groups:
        found = named_groups(self._named, self._columns, rows.width)
        if self.params["groups"] == "correlated" or len(found) < LEAST_GROUPS:
            found = correlated_groups(rows, self.params["tokens"])
        return shuffled_groups(found, seed) if self.params["groups"] == "shuffled" else found

    def predict(self, x: Codes, *, plan: Plan | None = None, eras: Offsets | None = None) -> FloatArray:
        """float64[n]; see `NetworkModel.predict`. With `across="era"` an era at a time; without `eras` x is one."""
        if not self.needs_whole_eras:
            return super().predict(x, plan=plan)
        offsets = one_era(len(x)) if eras is None else eras
        parts = [slice(start, stop) for start, stop in pairwise(offsets.tolist()) if stop > start]
        return self._predicted(x, parts, forward_era, plan or Plan())

    @property
    def array_function(self) -> Callable[..., npt.NDArray[np.float32]]:
        """See `NetworkModel.array_function`."""
        return forward_era if self.needs_whole_eras else forward

    def _version(self) -> str:
        return str(transformers_library().__version__)

    def _network(self, n_features: int) -> Network:
        groups = list(self._tokens.values())
        sizes = ("width", "layers", "heads", "feedforward", "dropout")
        shape = Shape(**{name: self.params[name] for name in sizes})
        if self.needs_whole_eras:
            from models.networks.eratransformer import era_transformer_network  # it needs torch

            return era_transformer_network(groups, shape, self.params["points"])
        from models.networks.grouptransformer import transformer_network  # it needs torch

        return transformer_network(groups, shape)

    _forward = staticmethod(forward)


def weight_count(params: Mapping[str, Any], columns: int) -> int:
    """How many weights it has, for what is expected of the memory; the number of named groups is taken as `tokens`."""
    tokens, width, layers, inner, _ = _sizes(params)
    layer = 4 * width * width + 2 * width * inner + 9 * width + inner
    if params.get("across") == "era":  # two of attention more
        layers += 2
    return width * (columns + tokens + 5) + layers * layer + 1


def thread_bytes(params: Mapping[str, Any], era_rows: float) -> float:
    """What a thread holds for the gradient of a piece: of 256 rows, or of an era where its rows attend to each other.

    Measured with 12 and 24 tokens, widths 48 and 96, one and three layers: .9 to 1.14 times the values that are named.
    """
    tokens, width, layers, inner, heads = _sizes(params)
    values = tokens * (layers * (12 * width + 3 * inner + 3 * heads * tokens) + 3 * width)
    rows = max(era_rows, BLOCK_ROWS) if params.get("across") == "era" else BLOCK_ROWS
    return 1.15 * 4 * values * rows


def _sizes(params: Mapping[str, Any]) -> list[int]:
    """Tokens, width, layers, feedforward and heads."""
    usable = TransformerModel.usable(params)
    return [usable[name] for name in ("tokens", "width", "layers", "feedforward", "heads")]
