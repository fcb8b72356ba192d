"""What may be done about a week that was not sent, because the gate holds it or another submission is filed.

It is said alike in the message, on the page and in the terminal.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from eraflow.gate.verdict import RuleResult, Verdict

LOW_BMC = "gate.bmc_bound=-1"
# What switches a rule off. `predictions` has no setting: what is not finite cannot be sent.
SWITCHED_OFF = {
    "models": "gate.min_models=1",
    "feature_copy": "gate.max_copy=null",
    "feature_corr": "gate.max_feature_corr=null",
    "lead": "gate.max_lead=null",
    "corr": "gate.corr_bound=null",
    "bmc": "gate.bmc_bound=null",
    "bmc_not_negative": LOW_BMC,
    "mmc_floor": "gate.mmc_floor=null",
    "mmc_not_negative": "gate.mmc_floor=null",
    "payout": "gate.payout_bound=null",
    "recent": "gate.recent_eras=null",
    "drawdown": "gate.max_drawdown=null",
    "exposure": "gate.max_exposure=null",
    "choices": "gate.max_overfit=null",
    "champion": "gate.champion_confidence=null",
}


def what_may_be_done(run_dir: Path, verdict: Verdict, closes: datetime, *, predicted: bool) -> list[str]:
    """One sentence for each thing that may be done, the least first.

    Args:
        run_dir: folder of the run.
        verdict: why it is held.
        closes: until when submissions of this round are taken.
        predicted: whether the live prediction was made and passed its checks.
    """
    until = f"{closes:%Y-%m-%d %H:%M} UTC"
    said = ["Leave it: nothing is sent for this round, and the next week is judged anew."]
    wanted = _settings_of([rule for rule in verdict.rules if not rule.passed])
    if predicted and wanted is not None:
        options = " ".join(f"--set {setting}" for setting in wanted)
        said.append(
            f"Send it all the same, until {until}: `eraflow submit {shlex.quote(str(run_dir))} {options}` judges it "
            "anew from its stored scores, in seconds, without the rules that block; other thresholds are given alike, "
            "and --dry-run only judges."
        )
    elif not predicted:
        said.append("Its live prediction could not be made, so it cannot be sent later: the run's log says why.")
    said.append(
        f"Send the champion, the ensemble last shipped, for this round, until {until}: `eraflow daily` with the same "
        "settings; gate.on_block=champion does so by itself in every week that is held."
    )
    return said


def instead_of_what_is_filed(run_dir: Path, closes: datetime) -> list[str]:
    """What may be done where another submission of the round was kept."""
    command = f"eraflow submit {shlex.quote(str(run_dir))} --set submit.replace=true"
    return [
        "Leave it: what is filed counts for this round.",
        f"Send these predictions instead, until {closes:%Y-%m-%d %H:%M} UTC: `{command}`; the newest counts.",
    ]


def _settings_of(rules: Sequence[RuleResult]) -> list[str] | None:
    """The settings that switch these rules off; None when one of them has none."""
    if any(rule.name not in SWITCHED_OFF for rule in rules):
        return None
    return list(dict.fromkeys(_setting_of(rule) for rule in rules))


def _setting_of(rule: RuleResult) -> str:
    """Without the certificate, BMC must still not be significantly negative: a bound that lies low lets it be."""
    return LOW_BMC if rule.name == "bmc" and rule.bound is not None else SWITCHED_OFF[rule.name]
