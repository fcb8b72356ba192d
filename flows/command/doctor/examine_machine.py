"""What `eraflow doctor` looks at on this computer: Python, pinned versions, home, cores, memory, disk and GPU."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from tempfile import NamedTemporaryFile

from packaging.requirements import Requirement

from eraflow.disk.atomic import storage_errors
from eraflow.disk.locks import take
from eraflow.disk.ownership import check_home
from eraflow.errors import EraflowError
from eraflow.machine.resources import Resources, memory_budget_mb, probe
from eraflow.runs.conclusion import check_outside_of_concluded
from eraflow.settings.profiles import PROFILES
from eraflow.settings.run import RunSettings
from flows.command.doctor.examine import Finding, judged, required

MEDIUM_SET_DISK_MB = 20_000  # v5.3: 9 GB of downloads, 5 GB of era store, room to work
ROOT = Path(__file__).resolve().parents[3]
LEAST_PYTHON, NEWEST_PYTHON = (3, 11), (3, 14)  # as pyproject.toml says
TORCH_SECONDS = 20.0  # a first import from a cold disk
# What happens outside the range, where it is worse than an error (ARCHITECTURE.md, "Pins").
CONSEQUENCES = {
    "prefect": "recovery is not what was tested",
    "fastapi": "the Prefect server would not start",
    "sqlalchemy": "the schedules would silently never fire",
    "pandas": "an uploaded model would not load on Numerai's machines",
}


def examine_machine(home: Path) -> Iterator[Finding]:
    """All checks of the computer, cheapest first."""
    yield python_version()
    yield from pins()
    yield tested_versions(ROOT / "constraints.txt")
    yield home_finding(home)
    found = probe(home)
    yield Finding("cores", "ok", str(found.cores))
    for profile in PROFILES:
        yield memory(found, profile)
    yield disk(found)
    yield gpu(found)


def python_version() -> Finding:
    """The interpreter. A newer one than was tried is a warning: what is installed may well work with it."""
    running = sys.version_info[:2]
    least, newest = (".".join(map(str, one)) for one in (LEAST_PYTHON, NEWEST_PYTHON))
    judge = judged if running > NEWEST_PYTHON else required
    found, remedy = ".".join(map(str, sys.version_info[:3])), f"use Python {least} to {newest}"
    return judge("python", LEAST_PYTHON <= running <= NEWEST_PYTHON, found, remedy)


def pins() -> Iterator[Finding]:
    """A line for each pin that a wrong version breaks silently, and one for all others that Eraflow requires."""
    needed = requirements(ROOT / "pyproject.toml")
    wrong = {one.name: _unfit(one) for one in needed}
    for one in needed:
        if one.name in CONSEQUENCES or wrong[one.name]:
            found = wrong[one.name] or version(one.name)
            effect = f", otherwise {CONSEQUENCES[one.name]}" if one.name in CONSEQUENCES else ""
            yield required(
                f"pin {one.name}", not wrong[one.name], found, f"make install (needs {one.specifier}{effect})"
            )
    good = sum(not problem for problem in wrong.values())
    yield required("requirements", good == len(needed), f"{good} of {len(needed)} are fit", "make install")


def requirements(project: Path) -> list[Requirement]:
    """What Eraflow needs: by the checkout, which may be newer than what was installed from it; or by the package."""
    if project.exists():
        texts = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]
    else:
        texts = requires("eraflow") or []
    found = [Requirement(text) for text in texts]
    return [one for one in found if one.marker is None or one.marker.evaluate({"extra": ""})]


def _unfit(one: Requirement) -> str:
    """What is wrong about an installed package; empty when nothing is."""
    try:
        found = version(one.name)
    except PackageNotFoundError:
        return "not installed"
    return "" if one.specifier.contains(found, prereleases=True) else found


def tested_versions(constraints: Path) -> Finding:
    """Whether the versions are those that Eraflow is tested with; others may work."""
    if not constraints.exists():
        return Finding("tested versions", "ok", "no constraints.txt here; see the requirements above")
    lines = [line for line in constraints.read_text(encoding="utf-8").splitlines() if "==" in line and line[0] != "#"]
    differing = []
    for name, wanted in (line.split("==", 1) for line in lines):
        try:
            found = version(name)
        except PackageNotFoundError:  # of an extra that is not installed
            continue
        if found.split("+")[0] != wanted:
            differing.append(f"{name} {found} instead of {wanted}")
    shown = ", ".join(differing[:5]) + (f" and {len(differing) - 5} more" if len(differing) > 5 else "")
    return judged("tested versions", not differing, shown or "all as in constraints.txt", "make install")


def home_finding(home: Path) -> Finding:
    """Whether the home folder is ours, can be written and has locks. What is somebody else's is not touched."""
    try:
        check_home(home)
        check_outside_of_concluded(home)
        with storage_errors(home):
            home.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(dir=home) as probe:
                take(probe)
    except EraflowError as error:
        return Finding("home", "failed", error.problem, error.remedy)
    return Finding("home", "ok", str(home))


def memory(found: Resources, profile: str) -> Finding:
    """Whether the memory that a profile may use is free now."""
    wanted = RunSettings.model_validate({"profile": profile}).machine
    limit = "" if found.container_limit_mb is None else f", container limit {found.container_limit_mb:,.0f} MiB"
    free = f"{found.ram_available_mb:,.0f} of {found.ram_total_mb:,.0f} MiB free{limit}"
    try:
        budget = memory_budget_mb(found, wanted)
    except EraflowError as error:
        return Finding(f"ram {profile}", "failed", error.problem, error.remedy)
    enough = wanted.memory_mb is None or budget >= wanted.memory_mb
    remedy = (
        f"the profile may use {wanted.memory_mb or 0:,} MiB and works more slowly with less: close programs, or choose "
        "a smaller feature set"
    )
    return judged(f"ram {profile}", enough, f"{free}, {budget:,.0f} for a stage", remedy)


def disk(found: Resources) -> Finding:
    """Whether a real week has room."""
    remedy = f"Numerai's medium set needs some {MEDIUM_SET_DISK_MB:,} MiB; sandbox: 500"
    return judged("disk", found.disk_free_mb >= MEDIUM_SET_DISK_MB, f"{found.disk_free_mb:,.0f} MiB free", remedy)


def gpu(found: Resources) -> Finding:
    """The GPUs that the driver shows, and whether torch, where it is installed, can use them."""
    names = ", ".join(f"{one.name} ({one.vram_total_mb:,.0f} MiB, {one.vram_free_mb:,.0f} free)" for one in found.gpus)
    if not names:
        trouble = _driver_trouble()
        remedy = "repair the NVIDIA driver (a reboot after its update often does), or set machine.device=cpu"
        return judged("gpu", not trouble, trouble or "none; models are trained on the CPU", remedy)
    trouble = _torch_trouble()
    remedy = "install the torch build for this driver's CUDA version; until then neural models train on the CPU"
    return judged("gpu", not trouble, names + (f"; {trouble}" if trouble else ""), remedy)


def _driver_trouble() -> str:
    """What nvidia-smi says when it is there and shows no GPU; empty without it."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return ""
    try:
        done = subprocess.run([command, "-L"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        return f"nvidia-smi does not answer ({type(error).__name__})"
    told = (done.stdout + done.stderr).strip().splitlines()
    return f"nvidia-smi shows no GPU to this process: {told[0] if told else f'exit code {done.returncode}'}"


def _torch_trouble() -> str:
    """Why torch cannot use the GPU that the driver shows; empty when it can or is not installed."""
    try:
        installed = version("torch")
    except PackageNotFoundError:
        return ""
    code = "import torch; print(torch.version.cuda, torch.cuda.is_available())"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=TORCH_SECONDS, check=True
        )
    except subprocess.SubprocessError as error:
        return f"torch {installed} cannot be asked ({type(error).__name__})"
    cuda, usable = done.stdout.split()[-2:]
    if usable == "True":
        return ""
    return f"torch {installed} {'has no CUDA' if cuda == 'None' else f'(CUDA {cuda}) does not see it'}"
