"""The last words of a run in the terminal: the result, where it lies, how to look at it, and how to go live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType

from eraflow.discovery.driftalarms import drift_alarms
from eraflow.disk.home import home_option
from eraflow.machine.progress import readable_seconds
from eraflow.reports.ensembletables import HEAD, PAIR_HEAD, contest_words, correlations_note, ensemble_rows, pair_rows
from eraflow.settings.run import RunSettings
from flows.command.starting.worthparts import worth_parts
from flows.command.terminal.printing import listed, places, table, whole, words
from flows.command.terminal.view import source_words

OUTCOMES = {
    "submitted": "Submitted and accepted.",
    "ready": "Dry run: the submission is ready and was not sent.",
    "kept": "Nothing was sent: another submission is filed for this slot and round, and was kept.",
    "held": "Held: the gate blocked, nothing was sent.",
    "submitted_with_error": "Submitted and accepted, but something after that failed.",
    "unconfirmed": "Sent, but not confirmed: look at your model's submissions before you send again.",
    "judged": "Judged; it has no slot, so nothing of it is sent.",
    "failed": "Failed: no submission was accepted.",
    "unfinished": "Unfinished: it works at this moment, or was ended from outside.",
}
OUTCOME_STYLES = {"submitted": "bold green", "ready": "bold green", "held": "bold red", "failed": "bold red"}


def summary(record: dict[str, Any], settings: RunSettings, server: str, *, advice: bool = True) -> list[RenderableType]:
    """A few paragraphs and tables; none is wider than 80 columns needs to be.

    Args:
        record: of the run.
        settings: of the run.
        server: address of the user's own Prefect server, or nothing.
        advice: whether to say how to go live, after a run in the sandbox.
    """
    outcome = record["outcome"]
    parts: list[RenderableType] = [
        Group(
            words(OUTCOMES[outcome], OUTCOME_STYLES.get(outcome, "bold yellow")), words(_what(record, settings), "dim")
        )
    ]
    if insured := _insurance(record):
        parts.append(words(insured, "bold"))
    if record.get("error"):
        parts.append(
            words(f"{record['error']['code']}: {record['error']['problem']}\nWhat to do: {record['error']['remedy']}")
        )
    if lost := _lost(record):
        parts.append(Group(words("LOST, and the week went on without:", "bold red"), listed(lost)))
    if record.get("left_out"):
        rows = [(name, f"{error['problem']}; {error['remedy']}") for name, error in record["left_out"].items()]
        parts.append(Group(words("Left out before the start:", "bold"), listed(rows)))
    if record.get("scores"):
        parts += _scores(record["scores"], record.get("members", {}))
    if record.get("against_benchmark"):
        parts.append(_against(record["against_benchmark"]))
    if record.get("worth"):
        parts.append(worth_parts(record["worth"]))
    if record.get("verdict"):
        parts.append(verdict_in_words(record["verdict"]))
        if caution := _caution(record["verdict"], record.get("against_benchmark")):
            parts.append(words(caution, "yellow"))
    if record.get("ensembles"):
        parts.append(_ensembles(record))
    if record.get("drift"):
        parts += [words(alarm, "yellow") for alarm in drift_alarms(record["drift"], settings.drift)]
    if record.get("stages"):
        parts.append(_stages(record["stages"]))
    if saved := _saved(record.get("members", {})):
        parts.append(words(saved, "dim"))
    if record["outcome"] in ("held", "kept") and record.get("may_be_done"):
        parts.append(_may_be_done(record["may_be_done"]))
    parts.append(_places(record, settings, server))
    if advice and settings.source.kind == "sandbox" and record["outcome"] == "submitted":
        parts.append(_go_live())
    return parts


def _insurance(record: dict[str, Any]) -> str:
    """What was sent in the place of this week's, or found filed by a run that is an insurance only."""
    if filed := (record.get("not_needed") or {}).get("filed"):
        return f"No insurance is needed: submission {filed['id']} is filed for this round."
    sent = (record.get("insurance") or {}).get("state")
    if sent is None:
        return ""
    last = record["outcome"] in ("submitted", "submitted_with_error")
    then = "this week's own replaced it" if last else "it counts until this week's own passes"
    return f"The round was about to close: the champion's was sent as submission {sent['id']}; {then}."


def _may_be_done(sentences: list[str]) -> RenderableType:
    """A held week is no dead end."""
    return Group(words("What may be done:", "bold"), *(whole(f"- {sentence}") for sentence in sentences))


def _what(record: dict[str, Any], settings: RunSettings) -> str:
    """Round, slot, target and where the data came from, in one sentence."""
    verdict, submission = record.get("verdict") or {}, record.get("submission") or {}
    number = submission.get("round_number") or verdict.get("round_number") or record.get("round_number")
    slot = settings.submit.model
    return ", ".join(
        [
            f"Round {number}" if number else "No round",
            f"slot {slot}" if slot else "the only slot of the account",
            f"target {verdict.get('target') or settings.data.target}",
            source_words(settings),
            f"profile {settings.profile}",
        ]
    )


def _lost(record: dict[str, Any]) -> list[tuple[str, str]]:
    """A row for each model, search and selection that failed for good."""
    errors = dict(record.get("lost_models", {}))
    errors |= {f"the search for {name}": error for name, error in record.get("lost_searches", {}).items()}
    if record.get("lost_selection"):
        errors["the selection"] = record["lost_selection"]
    if record.get("lost_code"):
        errors["the code"] = record["lost_code"]
    return [(what, f"{error['problem']}; {error['remedy']}") for what, error in errors.items()]


def _scores(scores: dict[str, Any], members: dict[str, Any]) -> list[RenderableType]:
    """A row a model; the scores are on the run's own target, whatever a member has learnt."""
    ordered = sorted(scores.items(), key=_members_first)
    paid, head = _payout_column(scores)
    rows = [
        (
            name,
            figure(metrics["corr"]["mean"]),
            interval(metrics["corr"]),
            figure(metrics["corr"]["sharpe"], 2),
            _mean(metrics.get("bmc")),
            _mean(metrics.get("mmc")),
            _mean(metrics.get(paid), 3),
        )
        for name, metrics in ordered
    ]
    confidence = next(iter(scores.values()))["corr"].get("confidence")
    notes = [f"CORR bounds are one-sided, {confidence:.0%} each."] if confidence else []
    notes += _eras(ordered)
    learnt = {member["learns"] for member in members.values()}
    if len(learnt) == 1:
        notes.append(f"All learn {learnt.pop()}.")
    else:
        notes += [f"{name} learns {member['learns']}." for name, member in members.items()]
    return [table(("model", "CORR", "bounds", "Sharpe", "BMC", "MMC", head), rows), words("\n".join(notes), "dim")]


def _payout_column(scores: dict[str, Any]) -> tuple[str, str]:
    """Which payout is shown and under which head: with BMC only where no era of any model has MMC."""
    known = any((metrics.get("payout") or {}).get("eras") for metrics in scores.values())
    return ("payout", "payout") if known else ("payout_bmc", "payout, BMC")


def _eras(ordered: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
    """On how many eras each figure rests: one line where it is the same for all."""
    counts = {
        name: {
            metric: found[metric]["eras"] for metric in ("corr", "bmc", "mmc") if (found.get(metric) or {}).get("eras")
        }
        for name, found in ordered
    }
    most: dict[str, int] = {}
    for count in counts.values():
        most |= {metric: eras for metric, eras in count.items() if metric not in most}
    lines = [f"Eras: {_counted(most)}."]
    for name, count in counts.items():
        other = {metric: eras for metric, eras in count.items() if most[metric] != eras}
        lines += [f"Eras of {name}: {_counted(other)}."] if other else []
    return lines


def _counted(eras: dict[str, int]) -> str:
    return ", ".join(f"{metric.upper()} {count}" for metric, count in eras.items())


def figure(value: float | None, digits: int = 4) -> str:
    """A number, or a dash where there is none: too few eras for a bound, no spread for a Sharpe."""
    return "-" if value is None else f"{value:.{digits}f}"


def interval(metric: dict[str, Any]) -> str:
    """The bounds of a mean."""
    return f"{figure(metric['low'])} to {figure(metric['high'])}"


def _against(compared: dict[str, Any]) -> RenderableType:
    """CORR against the benchmark, then the payout, each on the eras that both have."""
    ordered = sorted(compared.items(), key=lambda item: item[0] == "blend")
    rows = [_difference(name, found, 4) for name, found in ordered]
    benchmark = ordered[0][1]["benchmark"]
    tables = [table((f"against {benchmark}", "CORR", "bounds", "eras", ""), rows)]
    paid = [_difference(name, found["payout"], 3) for name, found in ordered if "payout" in found]
    if paid:
        tables.append(table((f"against {benchmark}", "payout", "bounds", "eras", ""), paid))
    return Group(*tables)


def _difference(name: str, found: dict[str, Any], digits: int) -> tuple[str, ...]:
    bounds = f"{figure(found['low'], digits)} to {figure(found['high'], digits)}"
    return name, f"{found['difference']:+.{digits}f}", bounds, str(found["eras"]), found["verdict"]


def _members_first(item: tuple[str, dict[str, Any]]) -> tuple[int, str]:
    """Members, then the blend, then the benchmark, which alone has no BMC against itself."""
    name, metrics = item
    return (1 if name == "blend" else 2 if "bmc" not in metrics else 0), name


def _mean(metric: dict[str, Any] | None, digits: int = 4) -> str:
    return figure(metric["mean"], digits) if metric and metric["eras"] else "-"


def verdict_in_words(verdict: dict[str, Any]) -> RenderableType:
    """A paragraph a rule, and one a base that was adapted."""
    passed = words("The gate passed.", "bold green") if verdict["passed"] else words("The gate BLOCKED.", "bold red")
    rows = [(_rule_state(rule), rule["text"]) for rule in verdict["rules"]]
    rows += [("base", base["text"]) for base in verdict.get("bases", [])]
    return Group(passed, listed(rows, first_width=10))


def _rule_state(rule: dict[str, Any]) -> str:
    if not rule["passed"]:
        return "BLOCKED"
    return "ok" if rule["judged"] else "not judged"


def _caution(verdict: dict[str, Any], compared: dict[str, Any] | None) -> str:
    """What one would not expect of an ensemble that may be sent."""
    blend = (compared or {}).get("blend")
    if not verdict["passed"] or blend is None or blend["verdict"] != "worse":
        return ""
    return (
        f"Mind: the gate passed, but the CORR of the blend is worse than that of the benchmark {blend['benchmark']} "
        f"({blend['difference']:+.4f} on {blend['eras']} common eras). The gate asks whether the blend is better than "
        "nothing and does no harm beside the benchmark, not whether it beats it."
    )


def _ensembles(record: dict[str, Any]) -> RenderableType:
    """What came of each further ensemble, and how alike the slots are."""
    parts: list[RenderableType] = [table(HEAD, ensemble_rows(record["ensembles"]))]
    if correlations := record.get("correlations"):
        parts += [table(PAIR_HEAD, pair_rows(correlations)), words(correlations_note(correlations), "dim")]
    if record.get("contest"):
        parts.append(words(contest_words(record["contest"])))
    return Group(*parts)


def _stages(stages: dict[str, Any]) -> RenderableType:
    rows = [
        (
            name,
            f"{stage['seconds']:.1f}",
            "-" if stage["peak_mb"] is None else f"{stage['peak_mb']:.0f}",
            str(stage["attempts"]),
        )
        for name, stage in stages.items()
    ]
    return table(("stage", "seconds", "peak MiB", "attempts"), rows)


def _saved(members: dict[str, Any]) -> str:
    """What earlier weeks had left, so that this one did not have to train it."""
    folds, kept, seconds = (
        sum(member.get(key) or 0 for member in members.values()) for key in ("folds", "folds_kept", "seconds_saved")
    )
    if not kept:
        return ""
    return f"{kept} of {folds} folds were found as an earlier week left them: {readable_seconds(seconds)} saved."


def _places(record: dict[str, Any], settings: RunSettings, server: str) -> RenderableType:
    home = home_option(settings.home_path)
    return places(
        [
            ("run folder", record["run_dir"]),
            ("Prefect UI", server or f"eraflow ui{home}"),
            ("MLflow", f"eraflow ui --mlflow{home}"),
        ]
    )


def _go_live() -> RenderableType:
    steps = [
        (
            "1.",
            "Create an API key at numer.ai (Account, API keys; scope: upload submissions) and set "
            "NUMERAI_PUBLIC_ID and NUMERAI_SECRET_KEY.",
        ),
        ("2.", "eraflow run --profile laptop --set submit.model=YOUR_MODEL --dry-run"),
        (
            "3.",
            "The same without --dry-run; then every week by itself: a server, a worker and eraflow go-live (README, "
            "Going live).",
        ),
    ]
    return Group(words("To go live:", "bold"), listed(steps))
