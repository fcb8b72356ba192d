"""What came of a season: the page in its folder, and the summary in the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from eraflow.disk.atomic import write_bytes, write_text
from eraflow.errors import EraflowError
from eraflow.livescores.alarms import LiveAlarm, alarm_text, raised_alarms
from eraflow.livescores.livetext import picture_of, year_in_words
from eraflow.livescores.promise import promises
from eraflow.livescores.store import SlotScores, slots_with_scores
from eraflow.livescores.table import LiveLine, live_lines
from eraflow.livescores.watch import LiveStanding, scored_rounds, standing
from eraflow.reports.markdown import markdown_table
from eraflow.runs.identity import identity
from eraflow.sandbox.season import SeasonState
from eraflow.sandbox.world import LATER_TARGET, LATER_VERSION, round_number
from eraflow.settings.run import RunSettings
from eraflow.tracking.tracking import Tracker
from eraflow.tracking.versions import Listed, listed

PAGE, PICTURE = "season.md", "live.png"
HEAD = ("week", "round", "flow", "came of it", "gate", "CORR", "live", "day", "promised")


def write_page(season: SeasonState) -> Path:
    """Write `season.md` and its picture into the season's folder; the page's path."""
    slots = slots_with_scores(season.home)
    lines = {line.submission: line for slot in slots for line in live_lines(slot)}
    parts = [f"# A season of {season.weeks} weeks", *_bullets(_what_happened(season))]
    parts += ["## What was sent, and what it scored", markdown_table(HEAD, list(_rows(season, lines)))]
    parts += ["## Live scores and their promise"]
    for place, slot in enumerate(slots):
        name = PICTURE if place == 0 else f"live-{place}.png"
        years = _years(slot)
        write_bytes(season.folder / name, picture_of(slot.name, years))
        parts += [f"![live scores of {slot.name}]({name})", *map(year_in_words, years)]
    parts += ["## Alarms", *_bullets(_alarms(slots) or ["None was raised."])]
    parts += ["## Champions and challengers", *_bullets(_decisions(season) or ["Nothing was decided."])]
    parts += ["## What was not sent, and why", *_bullets(_not_sent(season) or ["Every round was served."])]
    parts += ["## Time and disk", *_bullets(_costs(season))]
    return write_text(season.folder / PAGE, "\n\n".join(parts) + "\n")


def season_parts(season: SeasonState, page: Path) -> list[RenderableType]:
    """The summary for the terminal, in 80 columns."""
    from flows.command.terminal.printing import listed as bullets
    from flows.command.terminal.printing import places, table, words

    slots = slots_with_scores(season.home)
    lines = {line.submission: line for slot in slots for line in live_lines(slot)}
    sentences = [year_in_words(year) for slot in slots for year in _years(slot)]
    rows = [tuple(str(cell) for cell in row) for row in _rows(season, lines)]
    return [
        words(f"A season of {season.weeks} weeks", "bold"),
        bullets([("", text) for text in _what_happened(season)]),
        table(HEAD, rows),
        *(words(text) for text in [*sentences, *_alarms(slots), *_decisions(season)[-5:], *_costs(season)]),
        places([("page", str(page))]),
    ]


def season_record(season: SeasonState, page: Path) -> dict[str, Any]:
    """The same for --json."""
    slots = slots_with_scores(season.home)
    return {
        "folder": str(season.folder),
        "page": str(page),
        "weeks": season.weeks,
        "events": season.events.__dict__,
        "steps": season.done,
        "scores": [line.as_dict() for slot in slots for line in live_lines(slot)],
        "alarms": _alarms(slots),
        "decisions": _decisions(season),
    }


def _what_happened(season: SeasonState) -> list[str]:
    """The known truths of the world, in the order of their weeks."""
    events = season.events
    told = [
        (events.missed, "nobody ran: this round was missed"),
        (events.version, f"the data were offered as {LATER_VERSION} instead"),
        (events.feature, "one feature, which pays, was stuck at one code in 97 % of the rows"),
        (events.skill, f"the features of `{events.group}` paid nothing any more, and the member that sees only them"),
        (events.target, f"the round was scored on {LATER_TARGET} instead"),
    ]
    known = sorted((week, text) for week, text in told if week is not None)
    return [f"Week {week}, round {round_number(week)}: {text}." for week, text in known]


def _rows(season: SeasonState, lines: dict[str, LiveLine]) -> Iterator[list[str]]:
    for record in season.done.values():
        step, line = record["step"], lines.get(str(record.get("submission")))
        yield [
            str(step["week"]),
            str(round_number(step["week"], midweek=step["midweek"])),
            "daily" if step["midweek"] else "weekly",
            str(record["outcome"]),
            str(record["verdict"] or "-"),
            _figure(record["corr"]),
            _figure(None if line is None else line.corr),
            "-" if line is None else f"{line.day}/{line.horizon_days}",
            _figure(None if line is None else line.promised_corr),
        ]


def _not_sent(season: SeasonState) -> list[str]:
    """Why a run sent nothing: the rules that blocked it, or the error that ended it."""
    told = []
    for record in season.done.values():
        step, error = record["step"], record["error"]
        why = "; ".join(record["blocked_by"]) or ("" if error is None else f"{error['code']}: {error['problem']}")
        if why:
            number = round_number(step["week"], midweek=step["midweek"])
            told.append(f"Round {number} ({record['outcome']}): {why}")
    if season.events.missed is not None:
        told.append(f"Round {round_number(season.events.missed)}: nobody ran.")
    return told


def _decisions(season: SeasonState) -> list[str]:
    """What the registry's log says, the oldest first. A daily run ships nothing new, so weekly ones alone are named."""
    try:
        versions = listed(_tracker(season))
    except EraflowError as error:
        return [f"The registry cannot be read: {error}"]
    shipped = [name for name, record in season.done.items() if not record["step"]["midweek"]]
    weeks = {_name(season.home / "runs" / name): name for name in shipped}
    told = [(decision.at, each, decision) for each in versions for decision in each.decisions]
    return [
        f"Version {each.version} ({_week(each, weeks)}, {each.seat.target if each.seat else 'any target'}) "
        f"{decision.what}{f': {decision.why}' if decision.why else ''}."
        for _, each, decision in sorted(told, key=lambda entry: (entry[0], entry[1].version))
    ]


def _week(version: Listed, weeks: dict[str, str]) -> str:
    return weeks.get(version.name, version.name).removeprefix("season-")


def _name(run_dir: Path) -> str:
    return str(identity(run_dir)["name"]) if run_dir.exists() else run_dir.name


def _tracker(season: SeasonState) -> Tracker:
    tracking = RunSettings(profile="sandbox").tracking
    name = f"{tracking.registered_model}-sandbox"
    return Tracker(season.home, tracking.model_copy(update={"registered_model": name}))


def _years(slot: SlotScores) -> list[LiveStanding]:
    return [standing(each) for each in scored_rounds(slot.newest(), promises(slot.folder))]


def _alarms(slots: list[SlotScores]) -> list[str]:
    raised: list[tuple[str, LiveAlarm]] = [(slot.name, each) for slot in slots for each in raised_alarms(slot.folder)]
    return [alarm_text(each, name) for name, each in raised]


def _costs(season: SeasonState) -> list[str]:
    seconds = [float(record["seconds"]) for record in season.done.values()]
    sizes = [float(record["home_mb"]) for record in season.done.values() if "home_mb" in record]
    told = [f"{len(seconds)} runs took {sum(seconds) / 60:.1f} minutes."]
    if sizes:
        told.append(
            f"The home held {sizes[0]:.0f} MiB after the first run and {sizes[-1]:.0f} MiB after the last, at most "
            f"{max(sizes):.0f} MiB."
        )
    return told


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:+.4f}"


def _bullets(lines: list[str]) -> list[str]:
    return ["\n".join(f"- {line}" for line in lines)] if lines else []
