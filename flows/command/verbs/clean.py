"""`eraflow clean`: say which files nothing needs any more, ask, and remove them."""

from __future__ import annotations

import argparse
import math
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eraflow.errors import SettingsError
from flows.command.terminal.options import add_json
from flows.command.terminal.outputs import print_record

if TYPE_CHECKING:
    from eraflow.runs.cleaningplan import CleaningPlan

DAYS = {"h": 1 / 24, "d": 1.0, "w": 7.0}
GIGABYTES = {"MB": 1e-3, "GB": 1.0, "TB": 1e3}
SHOWN = 30


def add(verbs: Any) -> None:
    """The arguments of the verb."""
    verb = verbs.add_parser(
        "clean",
        help="remove what nothing needs any more, by age and size",
        description="Say what of the home is old and needed by nothing, ask, and remove it. Never goes: a run at work, "
        "unfinished or held while its round may be open, the newest that ended, what a registered model or a search "
        "points to. Without options the ages are those of the settings clean.bulk_days (what can be made or fetched "
        "again) and clean.keep_days (finished runs with their models and scores).",
    )
    verb.add_argument("--older-than", metavar="AGE", help="everything older than this goes: 30d, 12h, 8w")
    verb.add_argument("--max-size", metavar="SIZE", help="then the oldest, until the home is no larger: 20GB, 500MB")
    verb.add_argument("--dry-run", action="store_true", help="only say what would go")
    verb.add_argument("--yes", action="store_true", help="remove it without asking")
    verb.add_argument("--home", metavar="DIR", help="home folder to clean (default: the one of this user)")
    add_json(verb)
    verb.set_defaults(verb=_clean)


def _clean(arguments: argparse.Namespace) -> int:
    from eraflow.disk.home import home_folder
    from eraflow.disk.ownership import is_home_dir
    from eraflow.settings.clean import CleanSettings

    home, usual = home_folder(arguments.home), CleanSettings()
    age, size = days_of(arguments.older_than), gigabytes_of(arguments.max_size)
    if arguments.yes and arguments.dry_run:
        raise SettingsError("--yes and --dry-run exclude each other", "leave one of them out")
    if not is_home_dir(home):
        raise SettingsError(f"{str(home)[:200]} is no home folder of Eraflow", "name one with --home")
    from tasks.clean import planned_cleaning

    found = planned_cleaning(
        home,
        bulk_days=usual.bulk_days if age is None else age,
        keep_days=usual.keep_days if age is None else age,
        max_gb=usual.max_gb if size is None else size,
    )
    if not arguments.json:
        print(cleaning_in_words(home, found))
    agreed = bool(found.going) and not arguments.dry_run and (arguments.yes or _asked(arguments))
    return _carry_out(arguments, home, found) if agreed else _end(arguments, _record(home, found, "planned"))


def days_of(text: str | None) -> float | None:
    """Days in a text such as 30d, 12h or 8w.

    Raises:
        SettingsError: it is none.
    """
    return _quantity(text, DAYS, "--older-than", "30d, 12h or 8w")


def gigabytes_of(text: str | None) -> float | None:
    """Gigabytes in a text such as 20GB.

    Raises:
        SettingsError: it is none.
    """
    return _quantity(text, GIGABYTES, "--max-size", "20GB or 500MB")


def _quantity(text: str | None, units: dict[str, float], option: str, example: str) -> float | None:
    if text is None:
        return None
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]+)\s*", text, flags=re.ASCII)
    by_letters = {unit.lower(): factor for unit, factor in units.items()}
    value = float(found[1]) if found else math.inf
    if found is None or found[2].lower() not in by_letters or not math.isfinite(value):
        raise SettingsError(f"{option} {text[:40]!r} cannot be read", f"write it like {example}")
    return value * by_letters[found[2].lower()]


def cleaning_in_words(home: Path, found: CleaningPlan) -> str:
    """What would go, the largest first, and what stays."""
    lines = [f"{home} holds {_size(found.home_bytes)}."]
    if not found.going:
        lines.append("Nothing in it is old enough, or large enough, to go.")
    for planned in sorted(found.going, key=lambda each: -each.bytes)[:SHOWN]:
        place = _below(home, planned.piece.path)
        lines.append(f"  {planned.piece.kind:<18} {_size(planned.bytes):>9}  {place}")
    if len(found.going) > SHOWN:
        lines.append(f"  and {len(found.going) - SHOWN} more")
    if found.going:
        lines.append(f"{len(found.going)} to remove, which frees {_size(found.bytes)}.")
    if found.kept:
        lines.append("Runs that stay in any case:")
        lines += [f"  {_below(home, run)}: {why}" for run, why in list(found.kept.items())[:SHOWN]]
    return "\n".join(lines)


def _below(home: Path, path: Path) -> str:
    place = str(path.relative_to(home)) if path.is_relative_to(home) else str(path)
    return place if len(place) <= 46 else f"{place[:30]}...{place[-13:]}"


def _size(count: float) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if count >= factor:
            return f"{count / factor:,.1f} {unit}"
    return f"{count / 1e3:,.0f} kB"


def _asked(arguments: argparse.Namespace) -> bool:
    if arguments.json or not sys.stdin.isatty():
        raise SettingsError("nothing was removed: nobody is there to be asked", "add --yes, or --dry-run to look only")
    from flows.command.terminal.interrupts import heed_ctrl_c

    heed_ctrl_c()
    return input("Remove it? [y/N] ").strip().lower() in ("y", "yes")


def _carry_out(arguments: argparse.Namespace, home: Path, found: CleaningPlan) -> int:
    from eraflow.runs.cleaningplan import carry_out

    done, refused = carry_out(found.going)
    freed = sum(planned.bytes for planned in done)
    if not arguments.json:
        print(f"Removed {len(done)}, {_size(freed)} freed.")
        for path, why in refused.items():
            print(f"  stays: {_below(home, path)}: {why}")
    record = _record(home, found, "cleaned") | {
        "freed_bytes": freed,
        "removed": len(done),
        "refused": {str(path): why for path, why in refused.items()},
    }
    return _end(arguments, record)


def _record(home: Path, found: CleaningPlan, outcome: str) -> dict[str, Any]:
    return {
        "home": str(home),
        "outcome": outcome,
        "home_bytes": found.home_bytes,
        "planned_bytes": found.bytes,
        "planned": [
            {"kind": each.piece.kind, "path": str(each.piece.path), "bytes": each.bytes, "used_at": each.piece.used_at}
            for each in found.going
        ],
        "kept": {str(run): why for run, why in found.kept.items()},
    }


def _end(arguments: argparse.Namespace, record: dict[str, Any]) -> int:
    if arguments.json:
        print_record(record)
    return 0
