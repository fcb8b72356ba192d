"""The last words of a run in the terminal: the result, where it lies, how to look at it, and how to go live."""

from __future__ import annotations

import textwrap
from typing import Any

from eraflow.home import home_option
from eraflow.settings import RunSettings

OUTCOMES = {
    "submitted": "Submitted and accepted.",
    "ready": "Dry run: the submission is ready and was not sent.",
    "kept": "Nothing was sent: another submission is filed for this slot and round, and was kept.",
    "held": "Held: the gate blocked, nothing was sent.",
    "submitted_with_error": "Submitted and accepted, but something after that failed.",
    "unconfirmed": "Sent, but not confirmed: look at your model's submissions before you send again.",
    "failed": "Failed: no submission was accepted.",
}


def summary(record: dict[str, Any], settings: RunSettings, server: str) -> str:
    """A few paragraphs of plain text."""
    parts = [OUTCOMES[record["outcome"]]]
    if record.get("error"):
        parts.append(
            f"{record['error']['code']}: {record['error']['problem']}\nWhat to do: {record['error']['remedy']}"
        )
    if lost := _lost(record):
        parts.append("\n".join(["LOST, and the week went on without:", *lost]))
    if record.get("left_out"):
        lines = [f"  {name}: {error['problem']}; {error['remedy']}" for name, error in record["left_out"].items()]
        parts.append("\n".join(["Left out, because it is not installed:", *lines]))
    if record.get("scores"):
        parts.append(_scores(record["scores"], record.get("members", {})))
    if record.get("against_benchmark"):
        parts.append(_against(record["against_benchmark"]))
    if record.get("verdict"):
        parts.append(verdict_in_words(record["verdict"]))
    if record.get("stages"):
        parts.append(_stages(record["stages"]))
    if record["outcome"] == "held" and record.get("may_be_done"):
        parts.append(_may_be_done(record["may_be_done"]))
    parts.append(_places(record, settings, server))
    if settings.source.kind == "sandbox" and record["outcome"] == "submitted":
        parts.append(_go_live())
    return "\n\n" + "\n\n".join(parts)


def _may_be_done(sentences: list[str]) -> str:
    """A held week is no dead end."""
    wrapped = [
        textwrap.fill(
            each, 78, initial_indent="  - ", subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
        )
        for each in sentences
    ]
    return "\n".join(["What may be done:", *wrapped])


def _lost(record: dict[str, Any]) -> list[str]:
    """A line for each model, search and selection that failed for good."""
    errors = dict(record.get("lost_models", {}))
    errors |= {f"the search for {name}": error for name, error in record.get("lost_searches", {}).items()}
    if record.get("lost_selection"):
        errors["the selection of features, all are used"] = record["lost_selection"]
    return [f"  {what}: {error['problem']}; {error['remedy']}" for what, error in errors.items()]


def _scores(scores: dict[str, Any], members: dict[str, Any]) -> str:
    """A row a model; the scores are on the run's own target, whatever a member has learnt."""
    width = max(20, *(len(name) + 2 for name in scores))
    lines = [
        f"{'model':<{width}}{'CORR':>8}  {'interval':^18}{'Sharpe':>8}{'BMC (eras)':>16}{'MMC (eras)':>16}{'eras':>6}"
        + ("  learns" if members else "")
    ]
    for name, metrics in sorted(scores.items(), key=_members_first):
        corr = metrics["corr"]
        lines.append(
            f"{name:<{width}}{figure(corr['mean']):>8}  {interval(corr):^18}{figure(corr['sharpe'], 2):>8}"
            f"{_with_eras(metrics.get('bmc')):>16}{_with_eras(metrics.get('mmc')):>16}{corr['eras']:>6}"
            + (f"  {members[name]['learns']}" if name in members else "")
        )
    return "\n".join(lines)


def figure(value: float | None, digits: int = 4) -> str:
    """A number, or a dash where there is none: too few eras for a bound, no spread for a Sharpe."""
    return "-" if value is None else f"{value:.{digits}f}"


def interval(metric: dict[str, Any]) -> str:
    """The bounds of a mean."""
    return f"{figure(metric['low'])} to {figure(metric['high'])}"


def _against(compared: dict[str, Any]) -> str:
    lines = [f"CORR against {next(iter(compared.values()))['benchmark']} on common eras:"]
    for name, found in sorted(compared.items(), key=lambda item: item[0] == "blend"):
        lines.append(
            f"  {name:<18}{found['difference']:+.4f}  ({interval(found)}, {found['eras']} eras): {found['verdict']}"
        )
    return "\n".join(lines)


def _members_first(item: tuple[str, dict[str, Any]]) -> tuple[int, str]:
    """Members, then the blend, then the benchmark, which alone has no BMC against itself."""
    name, metrics = item
    return (1 if name == "blend" else 2 if "bmc" not in metrics else 0), name


def _with_eras(metric: dict[str, Any] | None) -> str:
    return f"{figure(metric['mean'])} ({metric['eras']})" if metric and metric["eras"] else "-"


def verdict_in_words(verdict: dict[str, Any]) -> str:
    """A line a rule."""
    lines = ["The gate passed." if verdict["passed"] else "The gate BLOCKED."]
    lines += [f"  {_rule_state(rule):<10}  {rule['text']}" for rule in verdict["rules"]]
    return "\n".join(lines)


def _rule_state(rule: dict[str, Any]) -> str:
    if not rule["passed"]:
        return "BLOCKED"
    return "ok" if rule["judged"] else "not judged"


def _stages(stages: dict[str, Any]) -> str:
    lines = [f"{'stage':<24}{'seconds':>9}{'peak MiB':>10}{'attempts':>10}"]
    for name, stage in stages.items():
        peak = "-" if stage["peak_mb"] is None else f"{stage['peak_mb']:.0f}"
        lines.append(f"{name:<24}{stage['seconds']:>9.1f}{peak:>10}{stage['attempts']:>10}")
    return "\n".join(lines)


def _places(record: dict[str, Any], settings: RunSettings, server: str) -> str:
    home = home_option(settings.home_path)
    prefect = f"Prefect UI    {server}" if server else f"Prefect UI    eraflow ui{home}"
    return "\n".join([f"run folder    {record['run_dir']}", prefect, f"MLflow        eraflow ui --mlflow{home}"])


def _go_live() -> str:
    return "\n".join(
        [
            "To go live:",
            "  1. Create an API key at numer.ai (Account, API keys; scope: upload submissions) and set "
            "NUMERAI_PUBLIC_ID and NUMERAI_SECRET_KEY.",
            "  2. eraflow run --profile laptop --set submit.model=YOUR_MODEL --dry-run",
            "  3. The same without --dry-run; then let it run every week: prefect deploy --all, and a worker "
            "(README, On a schedule).",
        ]
    )
