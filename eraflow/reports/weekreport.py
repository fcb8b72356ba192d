"""The report of the week: one page that says what came of it and why, made from the run's folder alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eraflow.disk.jsonobject import read_object
from eraflow.reports.charts import cumulative_corr_chart
from eraflow.reports.ensembletables import ensembles_text
from eraflow.reports.markdown import markdown_table, png_markdown
from eraflow.reports.worthtables import worth_text
from eraflow.runs.outcome import RunOutcome, outcome_of
from eraflow.runs.unfinished import SETTINGS

BLEND = "blend"
NO_BREAK = "\u00a0"
CURVES = {
    "corr": "CORR",
    "payout": "payout",
    "payout_bmc": "payout with BMC for MMC",
    "mmc": "MMC",
    "bmc": "BMC",
}


def week_report(run_dir: Path, links: Mapping[str, str]) -> str:
    """The page as Markdown, pictures inside.

    Args:
        run_dir: of a run that has ended, however it did.
        links: label to address, of pages that tell more.
    """
    record, settings = (read_object(run_dir / name) or {} for name in ("record.json", SETTINGS))
    outcome = outcome_of(run_dir)
    scores = (read_object(run_dir / "backtest" / "scores.json") if record.get("scores") else None) or {}
    parts = [
        headline(outcome),
        _sandbox(settings) if outcome.sandbox else "",
        _error(record.get("error")),
        _facts(outcome, record, settings),
        _may_be_done(record),
        _lost(record),
        _submission(record.get("submission")),
        _models(record),
        _worth(record),
        ensembles_text(record),
        *curves(scores),
        _gate(record.get("verdict")),
        _links(run_dir, links),
    ]
    return "\n\n".join(part for part in parts if part)


def headline(outcome: RunOutcome) -> str:
    """The first line: what came of which round."""
    number = "" if outcome.round_number is None else f", round {outcome.round_number}"
    return f"# {outcome.flow.capitalize()}{number}: {outcome.words}"


def _sandbox(settings: Mapping[str, Any]) -> str:
    source = settings.get("source") or {}
    data = f"the data of the folder `{source['data_dir']}`" if source.get("data_dir") else "generated data"
    data = "the data of another sandbox" if source.get("url") else data
    return f"> **This is a sandbox.** It works on {data}; nothing of it went to Numerai, and its scores prove the road."


def _error(error: Mapping[str, Any] | None) -> str:
    return "" if not error else f"**{error['code']}**: {error['problem']}\n\n**What to do:** {error['remedy']}"


def _facts(outcome: RunOutcome, record: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    data, submit = settings.get("data") or {}, settings.get("submit") or {}
    seconds = record.get("seconds")
    rows: list[list[Any]] = [
        ["round", outcome.round_number],
        ["model slot", submit.get("model") or "the only one of the account"],
        ["target", data.get("target")],
        ["data version", data.get("version")],
        ["profile", settings.get("profile")],
        ["minutes", None if seconds is None else f"{seconds / 60:.1f}"],
    ]
    return markdown_table(["setting", "value"], [row for row in rows if row[1] is not None])


def _lost(record: Mapping[str, Any]) -> str:
    """What the week went on without."""
    lost = {**record.get("lost_models", {}), **record.get("lost_searches", {})}
    if record.get("lost_selection"):
        lost["the selection of features"] = record["lost_selection"]
    if record.get("lost_code"):
        lost["the code of the features"] = record["lost_code"]
    lost |= record.get("left_out", {})
    lines = [f"- **{name}**: {error['problem']}; {error['remedy']}" for name, error in lost.items()]
    return "\n".join(["## The week went on without", "", *lines]) if lines else ""


def _may_be_done(record: Mapping[str, Any]) -> str:
    """What may be done about a held week."""
    said = record.get("may_be_done") or []
    return "\n".join(["## What may be done", "", *(f"- {sentence}" for sentence in said)]) if said else ""


def _submission(submission: Mapping[str, Any] | None) -> str:
    if not submission:
        return "## Sent\n\nNothing was sent."
    state, file = submission.get("state"), submission.get("file") or {}
    if submission.get("kept"):
        told = f"Nothing was sent: another submission, `{submission['kept'].get('id')}`, was filed and was kept."
    elif state is None:
        why = "held, and kept for later" if submission.get("held") else "dry run"
        told = "Sent, and not known to have arrived." if submission.get("sending") else f"Nothing was sent ({why})."
    elif state.get("already"):
        told = f"These very predictions were filed before as `{state.get('id')}`; nothing was sent again."
    else:
        told = f"Submission `{state.get('id')}`, state **{state.get('status')}**."
    checks = file.get("checks") or []
    good = sum(bool(check["passed"]) for check in checks)
    proof = f"{good} of {len(checks)} checks passed. `{file.get('path')}`, sha256 `{file.get('sha256')}`"
    return f"## Sent\n\n{told}\n\n{proof}"


def _models(record: Mapping[str, Any]) -> str:
    """A row a model, each figure with its eras; what a member learns only where that is not the same for all."""
    scores, members = record.get("scores") or {}, record.get("members") or {}
    learns = {name: str(member["learns"]) for name, member in members.items() if member.get("learns")}
    rows = [
        [
            f"{name}: {learns[name]}" if name in learns and len(set(learns.values())) > 1 else name,
            _with_eras(model["corr"]),
            f"{_figure(model['corr']['low'])} to {_figure(model['corr']['high'])}".replace(" ", NO_BREAK),
            _figure(model["corr"]["sharpe"], 2),
            _with_eras(model.get("mmc")),
            _with_eras(model.get("bmc")),
            _with_eras(model.get("payout")),
        ]
        for name, model in sorted(scores.items(), key=lambda item: (_place(item), item[0]))
        if "corr" in model
    ]
    if not rows:
        return ""
    table = markdown_table(
        ["model", "CORR (eras)", "bounds", "Sharpe", "MMC (eras)", "BMC (eras)", "payout (eras)"], rows
    )
    parts = ["## Members and blend, out of fold", table, _blend(record.get("blend"))]
    return "\n\n".join(part for part in parts if part)


def _worth(record: Mapping[str, Any]) -> str:
    text = worth_text(record.get("worth"))
    return f"## What each member is worth\n\n{text}" if text else ""


def _blend(blend: Mapping[str, Any] | None) -> str:
    """What each member weighs."""
    if not blend:
        return ""
    weights = ", ".join(f"{name} {weight:.3g}" for name, weight in blend["weights"].items())
    told = learnt_in_words(blend["learnt"]) if blend.get("learnt") else ""
    return " ".join(part for part in (f"Blended by `{blend['method']}` with the weights {weights}.", told) if part)


def learnt_in_words(learnt: Mapping[str, Any]) -> str:
    """What is said of weights that were learnt."""
    said = [
        f"Each era is blended with weights from the eras known before it ({learnt['scored_eras']} in all); "
        f"{learnt['turnover']:.1%} of the weight changes from an era to the next."
    ]
    if "live" in learnt:
        said.append(
            f"The live blend: {learnt['live']}. It departed in {learnt['departed_eras']} judged eras; what Numerai "
            f"pays and ranks alone disagreed in sign in {learnt['disagreed']} of {learnt['judged']} decisions."
        )
    if learnt.get("approximation") is not None:
        said.append(
            f"The sums that weights are sought on miss the exact payout by {learnt['approximation']:.3f} an era."
        )
    return " ".join(said)


def _place(item: tuple[str, Mapping[str, Any]]) -> int:
    """Members, then the blend, then the benchmark, which alone has no BMC against itself."""
    name, metrics = item
    return 1 if name == BLEND else 2 if "bmc" not in metrics else 0


def curves(scores: Mapping[str, Any]) -> list[str]:
    """A picture of each cumulative score, where some model has it."""
    benchmark = next((name for name, model in scores.items() if "bmc" not in model.get("per_era", {})), None)
    found = []
    for metric, title in CURVES.items():
        lines = {
            name: (model["per_era"][metric]["eras"], _numbers(model["per_era"][metric]["values"]))
            for name, model in scores.items()
            if metric in model.get("per_era", {})
        }
        if lines:
            png = cumulative_corr_chart(
                lines, highlight=BLEND, benchmark=benchmark, title=f"Cumulative {title}, out of fold", metric=title
            )
            found.append(png_markdown(png, f"Cumulative {title}"))
    return found


def _numbers(values: Sequence[Any]) -> list[float]:
    return [float("nan") if value is None else float(value) for value in values]


def _gate(verdict: Mapping[str, Any] | None) -> str:
    if not verdict:
        return ""
    lines = [f"- {_rule_state(rule)}: {rule['text']}" for rule in verdict["rules"]]
    lines += [f"- {base['text']}" for base in verdict.get("bases", [])]
    return "\n".join([f"## Gate: {'passed' if verdict['passed'] else 'blocked'}", "", *lines])


def _rule_state(rule: Mapping[str, Any]) -> str:
    if not rule["passed"]:
        return "**blocked**"
    return "ok" if rule["judged"] else "not judged"


def _links(run_dir: Path, links: Mapping[str, str]) -> str:
    pages = [f"- [{label}]({address})" for label, address in links.items()]
    lines = [*pages, f"- run folder `{run_dir}`", "- every model and its curves in MLflow: `eraflow ui --mlflow`"]
    return "\n".join(["## More", "", *lines])


def _figure(value: float | None, digits: int = 4) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _with_eras(metric: Mapping[str, Any] | None) -> str:
    return f"{_figure(metric['mean'])}{NO_BREAK}({metric['eras']})" if metric and metric.get("eras") else "-"
