"""The kinds of models: one row a kind, strings and numbers only, so that everybody may read them.

A kind is added by a file with its class (in models/boosters/ or models/networks/) and a row here. The choices of the
settings, what is expected of memory and disk, the libraries, the search and the lean imports follow from the row;
`models.kinds` imports the class when it is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from eraflow.errors import SettingsError
from eraflow.ownkinds import GROUP, ModelClassError, OwnSource, is_own, own_source


class UnknownKindError(SettingsError):
    """There is no such kind of model. Choose one that there is."""

    code = "unknown_kind"


@dataclass(frozen=True)
class Cost:
    """Bytes for each thing that a kind of stage holds; MiB for what it holds anyway.

    Attributes:
        base_mb: Python and the libraries.
        value: for each value of the matrix (rows x columns).
        lean_value: the same with `low_memory`; None: no difference.
        row, column, tree, chunk: for each of these.
        judged, member_judged: for each judged row, and for each judged row of each member.
        tile_value: for each value of the tile that is decoded or converted at once.
        tile_values: values of a tile at the most, whatever `rows_in_memory` says.
        era_value: for each value of one era, in stages that take it whole.
        batch_value: on the GPU, for each value of a batch of `batch_rows`.
        thread_mb: for each thread, MiB.
        thread_column: for each column, for each thread.
        vram_base_mb, vram_value: of the GPU, where one is used: the driver's context, and for each value of the matrix.
        disk_value, disk_row, disk_judged, disk_tree: on disk.
        lean_disk_value: for each value, on disk, with `low_memory`.
    """

    base_mb: float
    value: float = 0.0
    lean_value: float | None = None
    row: float = 0.0
    column: float = 0.0
    tree: float = 0.0
    chunk: float = 0.0
    judged: float = 0.0
    member_judged: float = 0.0
    tile_value: float = 0.0
    tile_values: int = 4 << 20
    era_value: float = 0.0
    batch_value: float = 0.0
    thread_mb: float = 3.0
    thread_column: float = 0.0
    vram_base_mb: float = 600.0
    vram_value: float = 0.0
    disk_value: float = 0.0
    disk_row: float = 0.0
    disk_judged: float = 0.0
    disk_tree: float = 0.0
    lean_disk_value: float = 0.0


@dataclass(frozen=True)
class TrainingPace:
    """What a kind takes of one core, in millionths of a second, with its usual sizes; all zero: not known.

    Each is for a row, first whatever its width, then (`_column`) for each of its columns. Those of the networks are
    lines through 195 and 780 columns, on a busy computer with cores of 2.45 GHz and AVX2; `python -m
    benchmarks.networkgrowth` measures them anew. The graphs' learnt and judged rows are those of `python -m
    benchmarks.networks` at 780 columns on a free computer. The mlp was measured with 256 and 256 units, of which its
    usual sizes have .57 of the weights. Those of LightGBM go through its trainings in docs/results.md (95 and
    2,748 columns); XGBoost and CatBoost took 1.41 and 1.53 times as long there.

    Attributes:
        learnt, learnt_column: a row of an update, there and back; of a booster: a row in a tree.
        looked, looked_column: a row that is looked at while a network is trained, with torch.
        judged, judged_column: a row that is predicted out of fold.
    """

    learnt: float = 0.0
    learnt_column: float = 0.0
    looked: float = 0.0
    looked_column: float = 0.0
    judged: float = 0.0
    judged_column: float = 0.0


UNKNOWN = TrainingPace()


@dataclass(frozen=True)
class Kind:
    """One kind of model.

    Attributes:
        name: what the settings call it.
        path: `module:Class` of the learner, or `FILE.py:Class`.
        cost: what its training holds in memory and on disk; see `eraflow.machine.estimate`.
        library: the package that it imports; empty: none that Eraflow does not always bring.
        extra: what to install for that package; empty: the package itself, which comes with Eraflow.
        usual: whether it is a member where the settings name none.
        searched: whether its class states `search_ranges`, so that `eraflow search` finds parameters for it.
        neural: whether it learns by updates of weights, not by trees.
        weights: `module:function` that counts its weights from the params and the number of columns, without its
            library; empty: it has none to speak of.
        thread_bytes: `module:function` that counts what each thread holds beside `cost`, from the params and the rows
            of an era; empty: nothing.
        needs_whole_eras: what its class says of itself without params; see `models.base.protocol.Model`.
        predicts_with: packages that its library needs to predict, of those that a lean process hides; see
            models/base/leanimports.py.
        takes_groups: whether its class is given the named groups of features, as positions in x.
        keeps_bases: whether its class is given a place for bases, which outlive a run.
        source: of a user's own kind, sha256 of the file that holds its class; empty: it is one of Eraflow's.
        pace: how long its training takes; see `models.training.hours`.
    """

    name: str
    path: str
    cost: Cost
    library: str = ""
    extra: str = ""
    usual: bool = False
    searched: bool = False
    neural: bool = False
    weights: str = ""
    thread_bytes: str = ""
    needs_whole_eras: bool = False
    predicts_with: tuple[str, ...] = ()
    takes_groups: bool = False
    keeps_bases: bool = False
    source: str = ""
    pace: TrainingPace = UNKNOWN


NETWORK_COST = Cost(285, row=80, judged=190, vram_base_mb=700, disk_judged=60)
"""Of every network. It reads the matrix in place; see models/networks/networkmodel.py for the bytes of a weight and of
a row. 67 MiB are torch's optimiser (models/networks/optimizer.py)."""


def _network(name: str, path: str, weights: str, cost: Cost, *, library: str = "torch", **more: Any) -> Kind:
    """The row of a network."""
    extra = "eraflow[networks]"
    return Kind(name, path, cost, library=library, extra=extra, searched=True, neural=True, weights=weights, **more)


# Boosters: `judged` is the ids and predictions that are joined out of fold (64 bytes of text, 72 as an object, values),
# `row` the labels, gradients and scores, `tile_value` float32 and int8; the tile is bounded by models/base/rows.py.
# Where the figures are from is told in eraflow/machine/estimate.py.
ROWS = (
    Kind(
        "lightgbm",
        "models.boosters.lightgbm_model:LightGBMModel",
        Cost(
            132,
            value=1.0,
            row=55,
            column=15_000,
            tree=13_000,
            disk_tree=8_000,
            judged=190,
            tile_value=5,
            vram_value=1,
            disk_value=0.51,
            disk_judged=60,
        ),
        pace=TrainingPace(0.051, 0.00047, judged=0.07),
        library="lightgbm",
        usual=True,
        searched=True,
    ),
    Kind(
        "xgboost",
        "models.boosters.xgboost_model:XGBoostModel",
        Cost(
            127,
            value=2.2,
            lean_value=0.08,
            row=65,
            column=15_000,
            tree=16_000,
            disk_tree=8_000,
            judged=190,
            tile_value=5,
            vram_value=2.2,
            disk_judged=60,
            lean_disk_value=1.1,
        ),
        pace=TrainingPace(0.072, 0.00066, judged=0.07),
        library="xgboost",
        usual=True,
        searched=True,
    ),
    Kind(
        "catboost",
        "models.boosters.catboost_model:CatBoostModel",
        Cost(
            120,
            value=2.25,
            lean_value=1.06,
            row=185,
            tree=7_000,
            disk_tree=8_000,
            judged=190,
            vram_value=3,
            disk_judged=60,
            lean_disk_value=1.01,
        ),
        pace=TrainingPace(0.078, 0.00071, judged=0.07),
        library="catboost",
        usual=True,
        searched=True,
        predicts_with=("pandas",),
    ),
    # What a thread holds of a piece of 256 rows is fitted to peaks with 60 to 2,400 columns and one or two threads,
    # within 6 %; of tabm it is for its usual `k`.
    _network(
        "mlp",
        "models.networks.mlp:MlpModel",
        "models.networks.mlp:weight_count",
        replace(NETWORK_COST, thread_column=4_300, batch_value=16),
        pace=TrainingPace(16.5, 0.0077, 1.6, 0.0081, 3.9, 0.0208),
    ),
    _network(
        "autoencoder",
        "models.networks.autoencoder:AutoencoderModel",
        "models.networks.autoencoder:weight_count",
        replace(NETWORK_COST, thread_mb=5, thread_column=17_000, batch_value=32),
        pace=TrainingPace(29, 0.055, 4.5, 0.016, 13, 0.017),
    ),
    _network(
        "tabm",
        "models.networks.tabm:TabmModel",
        "models.networks.tabm:weight_count",
        replace(NETWORK_COST, base_mb=295, thread_mb=12, thread_column=37_000, batch_value=128),
        library="tabm",
        pace=TrainingPace(57, 0.155, 14, 0.034, 20, 0.092),
    ),
    # 165 MiB more than torch alone are Transformers' encoder and what it loads, as measured with 5.24.0.
    _network(
        "transformer",
        "models.networks.transformer:TransformerModel",
        "models.networks.transformer:weight_count",
        replace(NETWORK_COST, base_mb=435, batch_value=64),
        library="transformers",
        thread_bytes="models.networks.transformer:thread_bytes",
        takes_groups=True,
        keeps_bases=True,
        pace=TrainingPace(75, 0.069, 25, 0.0065, 56),
    ),
    # Fitted to the peaks of gatv2 and gin with 780 columns and two threads, 619 and 458 MiB. A thread holds the rows
    # that pass through the layers at once; the GPU's are reckoned (models/networks/graphnetwork.py).
    _network(
        "gatv2",
        "models.networks.graphmodel:GatV2Model",
        "models.networks.graphmodel:attention_weight_count",
        replace(NETWORK_COST, base_mb=290, column=280_000, thread_mb=60, vram_base_mb=1_300, batch_value=512),
        pace=TrainingPace(0, 4.0, 0, 2.3, 0, 0.97),
    ),
    _network(
        "gin",
        "models.networks.graphmodel:GinModel",
        "models.networks.graphmodel:sum_weight_count",
        replace(NETWORK_COST, base_mb=290, column=160_000, thread_mb=25, vram_base_mb=1_300, batch_value=512),
        pace=TrainingPace(0, 1.1, 0, 0.42, 0, 0.59),
    ),
)
KINDS: dict[str, Kind] = {row.name: row for row in ROWS}
FIRST = ROWS[0].name
"""The kind of a member that is not told anything."""
USUAL = tuple(row.name for row in ROWS if row.usual)
SEARCHED = tuple(row.name for row in ROWS if row.searched)
LIBRARIES = tuple(dict.fromkeys(row.library for row in ROWS if row.library))
"""All packages that some kind imports."""


OWN_COST = Cost(250, value=9, row=250, judged=190, tile_value=9, era_value=9, disk_judged=60, disk_row=8)
"""Of a user's own class that declares none: it may copy the rows it learns from as int8 and as float64."""


def find(kind: str) -> Kind:
    """The row of a kind; that of a user's own is made from what its source says.

    Raises:
        UnknownKindError: there is no such kind.
        ModelFileError, ModelClassError, ModelPackageError: a user's own kind cannot be used.
    """
    if kind in KINDS:
        return KINDS[kind]
    if not is_own(kind):
        raise unknown_kind(kind)
    own = own_source(kind)
    return Kind(
        own.name,
        own.path,
        _cost(own),
        library=str(own.declared.get("library", "")),
        needs_whole_eras=own.declared.get("needs_whole_eras") is True,
        source=own.sha256,
    )


def unknown_kind(kind: str) -> UnknownKindError:
    """The error of a kind that there is not."""
    return UnknownKindError(
        f"there is no model of kind {kind!r}",
        f"use one of {', '.join(KINDS)}, a class of yours as FILE.py:Class, or the name of an entry point in the group "
        f"{GROUP} of an installed package",
    )


def _cost(own: OwnSource) -> Cost:
    """What the class declares, for the rest what is safe."""
    declared = own.declared.get("cost", {})
    known = {one.name for one in fields(Cost)}
    wrong = not isinstance(declared, dict) or not all(
        name in known and isinstance(value, int | float) and value >= 0 for name, value in declared.items()
    )
    if wrong:
        raise ModelClassError(
            f"{own.path} declares cost = {declared!r}",
            "write a dictionary of bytes, for example {'value': 4, 'row': 100, 'base_mb': 300}; see Cost in "
            "eraflow/kinds.py for its names",
        )
    return replace(OWN_COST, **declared)
