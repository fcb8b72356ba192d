"""The gate: judge an ensemble by its out-of-fold scores, and let nothing through that was not judged and passed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from eraflow.errors import EraflowError
from eraflow.gate.adaptedbases import AdaptedBase
from eraflow.gate.case import Case
from eraflow.gate.rules import RULES, uses_history
from eraflow.gate.simulatederrors import whole_gate_in_words
from eraflow.gate.verdict import RuleResult, Verdict
from eraflow.scoring.ranking import ScoreInputError
from eraflow.scoring.scoring import NO_ERAS, EraScores, ModelScores
from eraflow.settings.gate import GateSettings

CLOCK_TOLERANCE = timedelta(days=1)
"""Clocks of a worker and of whoever judged may differ, and one that ran ahead may be set back in mid-week."""


class GateBlockedError(EraflowError):
    """The verdict is blocked. Nothing may be sent with this ensemble; the text names the rules that block."""

    code = "gate_blocked"
    exit_code = 3


class StaleVerdictError(EraflowError):
    """The verdict is for another round, or too old. Judge the ensemble again for this round."""

    code = "stale_verdict"


class WrongEnsembleError(EraflowError):
    """The verdict was given on another ensemble than the one to be submitted. Judge this one."""

    code = "wrong_ensemble"


def judge(
    scores: ModelScores,
    *,
    champion: ModelScores | None,
    settings: GateSettings,
    horizon_days: int,
    ensemble_signature: str,
    round_number: int,
    models_trained: int,
    models_wanted: int,
    now: datetime,
    bases: tuple[AdaptedBase, ...] = (),
    benchmark: ModelScores | None = None,
    leaks: Mapping[str, Any] | None = None,
    history: EraScores = NO_ERAS,
    tried: Sequence[EraScores] = (),
) -> Verdict:
    """Apply every rule that is switched on.

    Args:
        scores: out-of-fold scores of exactly the ensemble that would be submitted.
        champion: the same of the ensemble last shipped; None before the first.
        settings: thresholds.
        horizon_days: horizon of the target in trading days.
        ensemble_signature: signature of the ensemble.
        round_number: the round it would be submitted to.
        models_trained, models_wanted: members of the ensemble, and how many the settings name.
        now: the time, with its time zone.
        bases: of the members that adapt one; they are told of, no rule asks for them.
        benchmark: scores of the benchmark on the same eras; None: there is none.
        leaks: what the stage that looks for leaks found; None: it did not run.
        history: CORR of the benchmark in every era of the data in which it is known.
        tried: CORR of every other configuration that was judged on these eras, this week's first.

    Returns:
        A verdict; it passes when no rule blocks. Rules that had nothing to judge are listed as such.
    """
    case = Case(
        scores, champion, settings, horizon_days, models_trained, models_wanted, benchmark, leaks, history, tried
    )
    found = tuple(result for rule in RULES for result in rule(case))
    return Verdict(
        passed=all(result.passed for result in found),
        rules=found,
        ensemble_signature=ensemble_signature,
        round_number=round_number,
        created_at=_utc(now).isoformat(),
        target=scores.target,
        note=_note(found, case),
        bases=bases,
    )


def check_may_submit(
    verdict: Verdict, ensemble_signature: str, round_number: int, now: datetime, settings: GateSettings
) -> None:
    """Refuse to submit unless this verdict passed, on exactly this ensemble, for this round, not too long ago.

    Args:
        verdict: what the gate said.
        ensemble_signature: signature of the ensemble whose predictions are to be sent.
        round_number: the round that is open.
        now: the time, with its time zone.
        settings: how old a verdict may be.

    Raises:
        GateBlockedError: the verdict is blocked.
        WrongEnsembleError: it was made for another ensemble.
        StaleVerdictError: it was made for another round, is too old, or lies in the future.
    """
    if not verdict.passed or verdict.reasons():
        raise GateBlockedError(
            f"the gate blocked this ensemble: {'; '.join(verdict.reasons()) or 'no reason was stored'}",
            "see the verdict of the run; nothing was sent",
        )
    if verdict.ensemble_signature != ensemble_signature:
        raise WrongEnsembleError(
            f"the verdict is on ensemble {verdict.ensemble_signature}, not on {ensemble_signature}",
            "judge the ensemble that is to be submitted",
        )
    if verdict.round_number != round_number:
        age = "older than" if verdict.round_number < round_number else "for a later round than"
        raise StaleVerdictError(
            f"the verdict for round {verdict.round_number} is {age} round {round_number}", "judge it for this round"
        )
    _check_age(verdict, _utc(now), settings)


def _check_age(verdict: Verdict, now: datetime, settings: GateSettings) -> None:
    age = now - datetime.fromisoformat(verdict.created_at)
    carried = verdict.carried_from is not None
    limit = settings.champion_max_age_days if carried else settings.verdict_max_age_days
    name = "gate.champion_max_age_days" if carried else "gate.verdict_max_age_days"
    if age > timedelta(days=limit):
        days = age / timedelta(days=1)
        raise StaleVerdictError(f"the verdict is {days:.1f} days old, {name} allows {limit:g}", "judge it again")
    if age < -CLOCK_TOLERANCE:
        raise StaleVerdictError(
            f"the verdict was made at {verdict.created_at}, which is after now ({now.isoformat()})", "set the clock"
        )


def _note(found: Sequence[RuleResult], case: Case) -> str:
    """How likely the tests together are to block wrongly, and what was not judged."""
    tests = [(rule.name, rule.error_rate) for rule in found if rule.judged and rule.error_rate is not None]
    together = 1 - math.prod(1 - error for _, error in tests)
    note = (
        f"{sum(rule.judged for rule in found)} rules were judged; several at once raise the chance of a wrong block. "
    )
    if tests:
        named = ", ".join(f"{name} {100 * error:.3g}%" for name, error in tests)
        note += (
            f"Each alarm or comparison stops an ensemble that is just harmless at its rate ({named}): about "
            f"{together:.0%} together if independent, up to twice that in a slow regime, less for a better ensemble. "
        )
    note += (
        "A certificate errs the other way: a worthless ensemble gets it in about "
        f"{1 - case.settings.confidence:.0%} of cases, and one with a small edge often does not. "
    )
    eras = len(case.era_scores("corr").eras)
    note += whole_gate_in_words(case.horizon_days, eras, history=uses_history(case))
    skipped = [rule.name for rule in found if not rule.judged]
    return f"{note} Not judged: {', '.join(skipped)}." if skipped else note


def _utc(now: datetime) -> datetime:
    if now.tzinfo is None:
        raise ScoreInputError("a time without a time zone", "use datetime.now(UTC)")
    return now.astimezone(UTC)
