"""`eraflow doctor`: what on this computer would stop a week, and what to do about it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from eraflow.errors import EraflowError
from eraflow.machine.resources import memory_budget_mb, probe
from eraflow.settings import PROFILES, RunSettings
from eraflow.store.atomic import write_text
from flows.cli import print_record

MEDIUM_SET_DISK_MB = 20_000  # v5.3: 9 GB of downloads, 5 GB of era store, room to work
# Ranges outside which a week dies or silently does not start; ARCHITECTURE.md, "Pins", says what happens.
PINS = {
    "prefect": ("3.8.8", "3.8.9"),
    "fastapi": ("0.139", "0.151"),
    "sqlalchemy": ("2.0", "2.1"),
    "pandas": ("2.3", "2.4"),
}


@dataclass(frozen=True)
class Check:
    """One line of the examination."""

    name: str
    state: Literal["ok", "warning", "failed"]
    found: str
    remedy: str = ""


def doctor(arguments: argparse.Namespace) -> int:
    """Print every check; exit code 1 when one failed."""
    home = Path(arguments.home).expanduser().resolve()
    checks = list(examine(home))
    failed = any(check.state == "failed" for check in checks)
    if arguments.json:
        print_record({"healthy": not failed, "checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            print(f"{check.state:<8} {check.name:<14} {check.found}")
            if check.remedy:
                print(f"{'':<24}-> {check.remedy}")
    return 1 if failed else 0


def examine(home: Path) -> Iterator[Check]:
    """All checks, cheapest first."""
    yield _python()
    yield from _pins()
    yield _home(home)
    yield from _machine(home)
    yield _keys()
    yield _prefect(home)


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        return Check("python", "ok", found)
    return Check("python", "failed", found, "use Python 3.11, 3.12 or 3.13")


def _pins() -> Iterator[Check]:
    for package, (low, high) in PINS.items():
        try:
            found = version(package)
        except PackageNotFoundError:
            yield Check(package, "failed", "not installed", "make install")
            continue
        good = _parts(low) <= _parts(found) < _parts(high)
        remedy = "" if good else f"make install (needs {low} or newer, below {high})"
        yield Check(package, "ok" if good else "failed", found, remedy)


def _parts(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def _home(home: Path) -> Check:
    try:
        write_text(home / ".doctor", "")
        (home / ".doctor").unlink()
    except EraflowError as error:
        return Check("home", "failed", error.problem, error.remedy)
    return Check("home", "ok", str(home))


def _machine(home: Path) -> Iterator[Check]:
    found = probe(home if home.exists() else Path.cwd())
    limit = "" if found.container_limit_mb is None else f", container limit {found.container_limit_mb:,.0f} MiB"
    yield Check("cores", "ok", str(found.cores))
    for profile in PROFILES:
        wanted = RunSettings(profile=profile).machine
        budget = memory_budget_mb(found, wanted)
        good = wanted.memory_mb is None or budget >= wanted.memory_mb
        yield Check(
            f"ram {profile}",
            "ok" if good else "warning",
            f"{found.ram_available_mb:,.0f} of {found.ram_total_mb:,.0f} MiB free{limit}, {budget:,.0f} for a stage",
            ""
            if good
            else f"the profile would use {wanted.memory_mb:,}: close programs, or choose a smaller feature set",
        )
    enough = found.disk_free_mb >= MEDIUM_SET_DISK_MB
    remedy = "" if enough else f"Numerai's medium set needs some {MEDIUM_SET_DISK_MB:,} MiB; sandbox: 500"
    yield Check("disk", "ok" if enough else "warning", f"{found.disk_free_mb:,.0f} MiB free", remedy)
    gpus = ", ".join(f"{gpu.name} ({gpu.vram_total_mb:,.0f} MiB)" for gpu in found.gpus)
    yield Check("gpu", "ok", gpus or "none; models are trained on the CPU")


def _keys() -> Check:
    if os.environ.get("NUMERAI_PUBLIC_ID") and os.environ.get("NUMERAI_SECRET_KEY"):
        return Check("numerai keys", "ok", "both variables are set")
    return Check(
        "numerai keys",
        "warning",
        "NUMERAI_PUBLIC_ID and NUMERAI_SECRET_KEY are not set",
        "needed to submit to Numerai, unless the Secret block numerai-keys holds them; the sandbox needs none",
    )


def _prefect(home: Path) -> Check:
    url = os.environ.get("PREFECT_API_URL")
    if url is None:
        return Check("prefect", "ok", f"no server named: runs start their own and keep it in {home / 'prefect'}")
    import httpx

    try:
        httpx.get(f"{url}/health", timeout=5).raise_for_status()
    except httpx.HTTPError as error:
        remedy = "start it (prefect server start) or unset PREFECT_API_URL"
        return Check("prefect", "failed", f"{url} does not answer ({type(error).__name__})", remedy)
    return Check("prefect", "ok", f"{url} answers")
