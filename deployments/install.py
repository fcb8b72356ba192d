"""What `make install` does: a virtual environment with the pinned versions, told before, shown meanwhile, told after.

python3 deployments/install.py [--extras networks] [--wheels DIR]     as make calls it
python3 deployments/install.py --wheelhouse DIR                       fetch everything for a computer without network

Only the standard library, and nothing newer than Python 3.8 has: whoever runs an old one must read the message below.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OLDEST = (3, 11)
STAMP = ".installed"
DECIDES = ("pyproject.toml", "constraints.txt")
BOOTSTRAP = ("pip", "setuptools")
# GB on disk, GB to fetch: measured on Linux x86_64, Python 3.11, with the CPU build of torch.
SIZES = {"": (2.3, 0.8), "networks": (0.9, 0.2), "dev": (0.1, 0.05)}
MINUTES = "two to four minutes on a fast line"
UNPACKED_SHARE = 1.2  # of what is needed on disk: wheels lie beside what is unpacked from them
CUDA = (
    "On Linux, pip's usual index brings torch with CUDA, some 5 GB more. Without an NVIDIA GPU, let "
    "PIP_EXTRA_INDEX_URL name the index of PyTorch's CPU builds first; their installation page tells it."
)


class InstallError(Exception):
    """Why nothing can be installed, and what to do."""


def main() -> int:
    """Install, or fetch a wheelhouse; returns the exit code."""
    arguments = _arguments()
    try:
        _require_python()
        extras = {name for name in arguments.extras.replace(" ", "").split(",") if name}
        if arguments.wheelhouse:
            return fetch(Path(arguments.venv), Path(arguments.wheelhouse), extras)
        return install(Path(arguments.venv), extras, arguments.wheels, ready=arguments.ready)
    except InstallError as error:
        print(f"install: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("install: interrupted; the same command goes on, what was fetched is kept", file=sys.stderr)
        return 130


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venv", default=".venv", help="folder of the virtual environment")
    parser.add_argument("--extras", default="networks", help="networks, s3, gcs, dev, several with commas, or nothing")
    parser.add_argument("--wheels", default="", metavar="DIR", help="install from this wheelhouse alone, no network")
    parser.add_argument("--wheelhouse", default="", metavar="DIR", help="fetch all wheels into this folder instead")
    parser.add_argument("--ready", action="store_true", help="be content with whatever extras are installed")
    return parser.parse_args()


def _require_python() -> None:
    if sys.version_info < OLDEST:
        raise InstallError(
            f"Eraflow needs Python {OLDEST[0]}.{OLDEST[1]} or newer, {sys.executable} is "
            f"{sys.version_info[0]}.{sys.version_info[1]}; name a newer one: make install PYTHON=python3.12"
        )


def install(venv: Path, extras: set[str], wheels: str, *, ready: bool = False) -> int:
    """Make or complete the environment; nothing at all when it is as it should be.

    Args:
        venv: its folder.
        extras: of pyproject.toml, besides those that are installed there already.
        wheels: a wheelhouse to take everything from; empty: pip's index.
        ready: any set of extras will do, as long as the versions are those of this checkout.
    """
    there = _stamp(venv)
    wanted = set(there["extras"]) if there and ready else extras | set(there["extras"] if there else ())
    if there and there["made_from"] == _made_from() and wanted == set(there["extras"]):
        if not ready:
            print(f"{venv} is complete already: {_said(wanted)}. `make clean` removes it.")
        return 0
    started = time.monotonic()
    _announce(venv, wanted, wheels, first=there is None)
    _check_space(venv, wanted, first=there is None)
    source = _source(wheels)
    python = _environment(venv, source)
    target = f".[{','.join(sorted(wanted))}]" if wanted else "."
    _pip(python, "install", *source, "-c", "constraints.txt", "-e", target)
    (venv / STAMP).write_text(json.dumps({"made_from": _made_from(), "extras": sorted(wanted)}), encoding="utf-8")
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    _say(f"Installed in {minutes} min {seconds} s: {venv} holds {_gigabytes(venv):.1f} GB.")
    _say(f"Next: make run, or `source {shlex.quote(str(venv))}/bin/activate` and eraflow --help.")
    return 0


def fetch(venv: Path, folder: Path, extras: set[str]) -> int:
    """Fetch every wheel that an installation needs, Eraflow's own included, for this system and this Python."""
    folder = folder.absolute()
    _say(f"Fetching {_said(extras)} into {folder}, for this system and Python {_version()}.")
    python = _environment(venv, [])
    folder.mkdir(parents=True, exist_ok=True)
    target = f".[{','.join(sorted(extras))}]" if extras else "."
    _pip(python, "wheel", "-w", str(folder), "-c", "constraints.txt", *BOOTSTRAP, target)
    _say(f"{folder} holds {_gigabytes(folder):.1f} GB. Copy it and this checkout to the other computer; there,")
    _say(f"make install WHEELS={shlex.quote(folder.name)}")
    return 0


def _announce(venv: Path, extras: set[str], wheels: str, *, first: bool) -> None:
    disk, download = _expected(extras)
    _say(f"Installing Eraflow with Python {_version()} into {venv}: {_said(extras)}.")
    if first:
        source = f"taken from {wheels}" if wheels else f"{download:.1f} GB to fetch"
        _say(f"About {disk:.1f} GB on disk, {source}; {MINUTES}. pip tells each package as it comes; the last step, "
             "unpacking, takes a minute or two.")  # fmt: skip
        if "networks" in extras and not wheels and sys.platform == "linux":
            _say(CUDA)


def _say(text: str) -> None:
    print(textwrap.fill(text, 80, break_long_words=False, break_on_hyphens=False), flush=True)


def _said(extras: set[str]) -> str:
    parts = ["what a week needs (Prefect, LightGBM, XGBoost, CatBoost, MLflow)"]
    parts.append("the networks (torch)" if "networks" in extras else "no networks (torch is left out)")
    return ", ".join(parts + (["the test tools"] if "dev" in extras else []))


def _expected(extras: set[str]) -> tuple[float, float]:
    wanted = {"", *extras} | ({"networks"} if "dev" in extras else set())  # the tests try the networks, too
    known = [SIZES[name] for name in wanted if name in SIZES]
    return sum(disk for disk, _ in known), sum(download for _, download in known)


def _check_space(venv: Path, extras: set[str], *, first: bool) -> None:
    needed = _expected(extras)[0] * UNPACKED_SHARE if first else 0.0
    free = shutil.disk_usage(venv.absolute().parent).free / 1e9
    if free < needed:
        raise InstallError(
            f"{needed:.1f} GB are needed beside {venv}, {free:.1f} GB are free; free some space, or leave the "
            "networks out: make install EXTRAS="
        )


def _source(wheels: str) -> list[str]:
    """pip's options for where packages come from."""
    if not wheels:
        return []
    folder = Path(wheels).expanduser().absolute()
    if not any(folder.glob("*.whl")):
        raise InstallError(f"{folder} holds no wheels; `make wheelhouse` on a computer with network fills one")
    return ["--no-index", "--find-links", str(folder)]


def _environment(venv: Path, source: list[str]) -> Path:
    """The environment's Python, with the pinned pip: older ones show nothing while they unpack."""
    python = _made(venv)
    _pip(python, "install", "--quiet", *source, "-c", "constraints.txt", *BOOTSTRAP)
    return python


def _made(venv: Path) -> Path:
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        made = subprocess.run([sys.executable, "-m", "venv", str(venv)], capture_output=True, text=True, check=False)
        if made.returncode != 0:
            shutil.rmtree(venv, ignore_errors=True)
            said = (made.stderr or made.stdout).strip().splitlines() or ["no reason given"]
            raise InstallError(
                f"{sys.executable} cannot make a virtual environment ({said[-1][:300]}); on Debian and Ubuntu install "
                "python3-venv"
            )
    return python


def _pip(python: Path, *options: str) -> None:
    command = [str(python.absolute()), "-m", "pip", options[0], "--disable-pip-version-check", *options[1:]]
    if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
        raise InstallError(
            "pip could not do it, its last lines say why; after a lost connection the same command goes on, what was "
            "fetched is kept"
        )


def _stamp(venv: Path) -> dict | None:
    try:
        found = json.loads((venv / STAMP).read_text(encoding="utf-8"))
        return found if {"made_from", "extras"} <= set(found) else None
    except (OSError, ValueError, TypeError):
        return None


def _made_from() -> str:
    digest = hashlib.sha256(str(ROOT).encode())  # an environment that was moved with its checkout is made anew
    for name in DECIDES:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def _gigabytes(folder: Path) -> float:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file()) / 1e9


def _version() -> str:
    return ".".join(str(part) for part in sys.version_info[:3])


if __name__ == "__main__":
    sys.exit(main())
