"""The verdict on an ensemble: what each rule found, and which ensemble and round it was found for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from eraflow.errors import EraflowError
from eraflow.gate.adaptedbases import AdaptedBase

Kind = Literal["certificate", "floor", "alarm", "cap", "comparison"]
State = Literal["passed", "blocked", "not judged"]


class VerdictFileError(EraflowError):
    """A stored verdict is missing, damaged or contradicts itself. Judge the ensemble again."""

    code = "verdict_file"


class CarryOverError(EraflowError):
    """A verdict was to be carried back to an earlier round. Verdicts are only carried forward."""

    code = "verdict_carry_over"


@dataclass(frozen=True)
class RuleResult:
    """What one rule found.

    Attributes:
        name: the rule.
        passed: False when the rule blocks. A rule that could not be judged does not block; see `judged`.
        threshold: what the setting asks for.
        figure: the figure that was measured; None when there is none.
        bound: its calibrated bound where the rule uses one; None when there are too few eras for a bound.
        eras: number of eras the figure rests on.
        first_era, last_era: the first and the last of them; empty when there are none.
        kind: certificate (proved by a bound), floor (a least figure), alarm (blocks only on significant harm), cap (a
            largest figure) or comparison (with the champion).
        text: all of this for people.
        judged: False when there was nothing to judge; the text says why.
        error_rate: chance with which an alarm or comparison blocks an ensemble that is just harmless; None for a rule
            that is no such test (certificate, floor, cap).
    """

    name: str
    passed: bool
    threshold: float | None
    figure: float | None
    bound: float | None
    eras: int
    first_era: str
    last_era: str
    kind: Kind
    text: str
    judged: bool = True
    error_rate: float | None = None

    @property
    def state(self) -> State:
        """What to show."""
        if not self.judged:
            return "not judged"
        return "passed" if self.passed else "blocked"


@dataclass(frozen=True)
class Verdict:
    """The gate's answer for exactly one ensemble and one round.

    Attributes:
        passed: whether this ensemble may be submitted.
        rules: every rule that is switched on.
        ensemble_signature: signature of the ensemble that was judged.
        round_number: the round it was judged for, or carried over to.
        created_at: when it was judged, ISO 8601 in UTC.
        target: the target it was judged on.
        note: how likely the rules together are to block wrongly, and what was not judged.
        carried_from: the round it was judged for when it was carried over to a later one.
        bases: of the members that adapt a base, as it was when it was judged; a verdict without any does not tell of
            bases at all.
    """

    passed: bool
    rules: tuple[RuleResult, ...]
    ensemble_signature: str
    round_number: int
    created_at: str
    target: str
    note: str
    carried_from: int | None = None
    bases: tuple[AdaptedBase, ...] = ()

    def reasons(self) -> list[str]:
        """Texts of the rules that block."""
        return [rule.text for rule in self.rules if not rule.passed]

    def not_judged(self) -> list[str]:
        """Texts of the rules that had nothing to judge."""
        return [rule.text for rule in self.rules if not rule.judged]

    def carried_to(self, round_number: int) -> Verdict:
        """This verdict for a later round: a champion that was judged once may be sent again, until it is too old.

        Raises:
            CarryOverError: when `round_number` is an earlier round.
        """
        if round_number < self.round_number:
            raise CarryOverError(
                f"a verdict for round {self.round_number} cannot be carried back to round {round_number}",
                "judge an ensemble for that round",
            )
        if round_number == self.round_number:
            return self
        origin = self.round_number if self.carried_from is None else self.carried_from
        return replace(self, round_number=round_number, carried_from=origin)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` restores the same verdict exactly."""
        values = {**asdict(self), "rules": [asdict(rule) for rule in self.rules]}
        del values["bases"]
        return {**values, "bases": [asdict(base) for base in self.bases]} if self.bases else values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Verdict:
        """The inverse of `as_dict`.

        Raises:
            VerdictFileError: when fields are missing or unknown, or `passed` contradicts the rules.
        """
        try:
            bases = tuple(AdaptedBase(**base) for base in values.get("bases", ()))
            rules = tuple(RuleResult(**rule) for rule in values["rules"])
            verdict = cls(**{**values, "rules": rules, "bases": bases})
        except (KeyError, TypeError) as error:
            raise VerdictFileError(f"a stored verdict cannot be read: {error}", "judge the ensemble again") from error
        if verdict.passed != (not verdict.reasons()):
            raise VerdictFileError(
                f"a stored verdict says passed={verdict.passed} but {len(verdict.reasons())} rules block",
                "judge the ensemble again",
            )
        return verdict


def read_verdict(path: Path | str) -> Verdict:
    """The verdict stored in a JSON file.

    Raises:
        VerdictFileError: when the file is missing or is not a verdict.
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise VerdictFileError(f"{path} cannot be read: {error}", "judge the ensemble again") from error
    if not isinstance(values, dict):
        raise VerdictFileError(f"{path} does not hold a verdict", "judge the ensemble again")
    return Verdict.from_dict(values)
