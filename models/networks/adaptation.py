"""A base that is trained rarely, adapters that learn from the newest eras, and the judgement whether they are merged.

In every fit, for a window as for live: the base of these eras is found or trained; adapters learn from the newest eras
that are not judged; on the judged ones the adapted base is compared with the unadapted one, era by era. Only where the
calibrated lower bound of the mean difference lies above a margin are the adapters merged; else the base is what comes
out. So an adaptation to noise changes nothing, as a rule, and a window of the backtest does what a week does.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eraflow.disk.digest import value_sha256
from eraflow.machine.failures import StageDiverged, StageNaN, StageStalled
from eraflow.machine.plan import Plan
from models.base.protocol import Codes, DamagedModelError, ProgressFn
from models.base.rows import Columns
from models.base.seeds import derived_seed
from models.base.wholeeras import FitEras
from models.networks.adaptationeras import AdaptationEras, Weeks, divide
from models.networks.adaptationjudgement import judge, unjudged
from models.networks.adaptationrows import RowsOfEras
from models.networks.adaptationsettings import without_adaptation
from models.networks.basestore import BaseStore
from models.networks.eratargets import Targets
from models.networks.fitdata import FitData
from models.networks.lora import merged, with_adapters
from models.networks.network import Network
from models.networks.networkmodel import NetworkModel
from models.networks.peftlibrary import peft_library
from models.networks.progress import CurvePoint
from models.networks.seeds import train_seeds
from models.networks.torchlibrary import usable_device
from models.networks.weightfile import Arrays, to_bytes


@dataclass(frozen=True)
class Adapted:
    """What came of an adaptation.

    Attributes:
        model: the base, adapted or not.
        record: what decided it, JSON values; the same whether the base was found or trained.
        told: seconds, and whether the base was found; of this very fit.
    """

    model: NetworkModel
    record: dict[str, Any]
    told: dict[str, Any]


@dataclass(frozen=True)
class Adaptation:
    """How a base is adapted.

    Attributes:
        base: not yet fitted, with the parameters that are not the adaptation's.
        network_of: the network of some weights of this kind.
        params: those of the adaptation and of the base.
        groups: what else decides the base.
        store: where bases are kept.
        plan, seed, checkpoints, progress: of the fit.
    """

    base: NetworkModel
    network_of: Callable[[Arrays], Network]
    params: Mapping[str, Any]
    groups: Mapping[str, Any]
    store: BaseStore
    plan: Plan
    seed: int
    checkpoints: Path | None
    progress: ProgressFn | None

    def of(self, x: Codes, y: Targets, eras: FitEras) -> Adapted:
        """Find or train the base, adapt it and judge.

        Raises:
            MissingLibraryError: PEFT is not installed.
            what the base's own `fit` raises.
        """
        peft_library()
        rows = RowsOfEras(x, y, eras)
        weeks = rows.known_weeks
        lengths = {name: int(self.params[name]) for name in ("base_eras", "adapt_eras", "judge_eras")}
        parts = divide(weeks, eras.purge_weeks, **lengths)
        began = time.monotonic()
        base, found = self._base(rows.of(parts.base))
        between = time.monotonic()
        model, judgement = self._judged(base, rows, parts)
        told = {
            "base_reused": found,
            "base_seconds": round(between - began, 2),
            "adapter_seconds": round(time.monotonic() - between, 2),
        }
        return Adapted(model, {**_described(base, parts.base, int(weeks[-1])), **judgement}, told)

    def _base(self, rows: RowsOfEras) -> tuple[NetworkModel, bool]:
        """The base of these rows, and whether it was there."""
        key = self.store.key(self._decides(rows))
        with self.store.turn(key):
            kept = self._kept(key)
            if kept is not None:
                return kept, True
            self.base.fit(
                rows.x, rows.y, plan=self.plan, seed=self.store.seed, progress=self._part(base=True), eras=rows.eras
            )
            curves = [[asdict(point) for point in curve] for curve in self.base.curves]
            self.store.keep(key, self.base.save, {"curves": curves, "last_era": _label(int(rows.known_weeks[-1]))})
            return self.base, False

    def _kept(self, key: str) -> NetworkModel | None:
        found = self.store.find(key)
        if found is None:
            return None
        folder, note = found
        try:
            model = type(self.base).load(folder)
            model.curves = [tuple(CurvePoint(**point) for point in curve) for curve in note["curves"]]
        except (DamagedModelError, KeyError, TypeError) as error:
            self.store.damaged(key, error)
            return None
        return model

    def _decides(self, rows: RowsOfEras) -> dict[str, Any]:
        """All that a base depends on, beside its code and seed."""
        import torch
        import transformers

        return {
            "kind": self.base.kind,
            "params": without_adaptation(self.params),
            "groups": {name: list(members) for name, members in self.groups.items()},
            "columns": None if self.base.columns is None else list(self.base.columns),
            "width": rows.x.shape[1],
            "purge_weeks": rows.eras.purge_weeks,
            "rows": rows.digest(Columns(self.base.columns)),
            "learning": [self.plan.rate_factor, self.plan.work_factor, self.plan.clip_norm, self.plan.precision],
            "device": usable_device(self.plan),
            "versions": [str(module.__version__) for module in (np, torch, transformers)],
        }

    def _judged(
        self, base: NetworkModel, rows: RowsOfEras, parts: AdaptationEras
    ) -> tuple[NetworkModel, dict[str, Any]]:
        """What comes out, and why."""
        if not len(parts.judged):
            return base, unjudged("too few eras to keep some back for a judgement")
        learnt = rows.of(parts.adapters)
        spans = {"adapter_eras": _span(parts.adapters), "judged_eras": _span(parts.judged)}
        try:
            adapted = base.with_networks(self._networks(base, learnt))
        except (StageNaN, StageDiverged, StageStalled) as error:
            return base, {**unjudged(f"the adapters could not be trained: {error.problem}"), **spans}
        margin = float(self.params["merge_margin"])
        found = judge(rows.of(parts.judged), adapted, base, margin=margin, plan=self.plan)
        return (adapted if found["merged"] else base), {**found, **spans}

    def _networks(self, base: NetworkModel, rows: RowsOfEras) -> list[Arrays]:
        """Each network of the base with adapters that learnt, merged."""
        own = {"updates": self.params["lora_updates"], "learning_rate": self.params["lora_learning_rate"], "seeds": 1}
        learnt = FitData.of(
            rows.x,
            rows.y,
            rows.eras,
            plan=self.plan,
            columns=Columns(base.columns),
            validation_share=0.0,
            who=f"the adapters of {base.kind}",
        )
        found = []
        for number, weights in enumerate(base.networks):
            (trained,) = train_seeds(
                with_adapters(self.network_of(weights), weights, self.params),
                learnt,
                {**self.base.params, **own},
                plan=self.plan,
                seed=self.seed if number == 0 else derived_seed(self.seed, number),
                who=f"the adapters of {base.kind}",
                checkpoints=self._checkpoints(weights, number),
                progress=self._part(base=False, number=number, count=len(base.networks)),
            )
            found.append(merged(trained.module, weights))
        return found

    def _checkpoints(self, weights: Arrays, number: int) -> Path | None:
        """A checkpoint of adapters holds the base's weights, too: it belongs to that very base."""
        if self.checkpoints is None:
            return None
        return self.checkpoints / f"adapters-{number}-{hashlib.sha256(to_bytes(weights)).hexdigest()[:16]}"

    def _part(self, *, base: bool, number: int = 0, count: int = 1) -> ProgressFn | None:
        """The share of the fit's updates that a training is."""
        if self.progress is None:
            return None
        told, seeds = self.progress, int(self.params["seeds"])
        first, second = seeds * int(self.params["updates"]), seeds * int(self.params["lora_updates"])
        before, mine = (0, first) if base else (first + second * number // count, second // count)

        def part(done: int, total: int, unit: str) -> None:
            told(before + mine * done // max(total, 1), first + second, unit)

        return part


def base_sha256(base: NetworkModel) -> str:
    """The hash of a base: of the weights of all its networks."""
    return value_sha256([hashlib.sha256(to_bytes(weights)).hexdigest() for weights in base.networks])


def _described(base: NetworkModel, weeks: Weeks, newest: int) -> dict[str, Any]:
    return {
        "base": base_sha256(base),
        "base_eras": _span(weeks),
        "base_last_era": _label(int(weeks[-1])),
        "age_eras": newest - int(weeks[-1]),
    }


def _span(weeks: Weeks) -> list[str]:
    """The first and the last era."""
    return [_label(int(weeks[0])), _label(int(weeks[-1]))]


def _label(week: int) -> str:
    return f"{week:04d}"
