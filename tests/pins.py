"""Whether every pinned version has a wheel for each supported Python, asked of pip's index: `make pins`.

Nothing is installed, and of each wheel only its metadata is fetched. torch is asked for by name alone: what the index
has under its plain version may be a build of gigabytes.
"""

import json
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
LARGE = "torch"
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


def pins():
    """Name to version, as constraints.txt pins them."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def compiled(names):
    """Those whose installed wheel is made for one system or one Python; the others are the same everywhere."""
    return [name for name in names if "Root-Is-Purelib: false" in (_wheel(name) or "")]


def _wheel(name):
    try:
        return distribution(name).read_text("WHEEL")
    except ModuleNotFoundError:  # needed by another Python only
        return None


def without_wheel(python, names=None):
    """The pinned requirements that pip finds no wheel for; empty when all is well.

    Args:
        python: such as 3.14.
        names: of the packages; None: all.
    """
    known = pins()
    wanted = [name for name in (known if names is None else names) if name != LARGE]
    lacking = [] if _is_listed(LARGE, known[LARGE], python) else [f"{LARGE}=={known[LARGE]}"]
    while wanted:
        missing = _first_missing(python, [f"{name}=={known[name]}" for name in wanted])
        if missing is None:
            break
        lacking.append(missing)
        wanted.remove(next(name for name in wanted if missing.lower().startswith(f"{name.lower()}==")))
    return lacking


def _is_listed(name, version, python):
    options = ["index", "versions", name, "--python-version", python, "--only-binary=:all:", "--json"]
    found = subprocess.run([*PIP, *options], capture_output=True, text=True, check=True)
    return version in json.loads(found.stdout)["versions"]


def _first_missing(python, requirements):
    with tempfile.TemporaryDirectory() as nowhere:
        options = ["install", "--dry-run", "--no-deps", "--ignore-installed", "--only-binary=:all:", "--quiet"]
        options += ["--use-feature=fast-deps", "--python-version", python, "--target", nowhere]
        found = subprocess.run([*PIP, *options, *requirements], capture_output=True, text=True, check=False)
    if found.returncode == 0:
        return None
    named = re.search(r"No matching distribution found for (\S+==\S+)", found.stderr)
    if named is None:
        raise RuntimeError(found.stderr[-2000:])
    return named[1]


def main():
    """Tell each Python's result; exit code 1 when something lacks a wheel."""
    with ThreadPoolExecutor(len(PYTHONS)) as pool:
        results = dict(zip(PYTHONS, pool.map(without_wheel, PYTHONS), strict=True))
    for python, lacking in results.items():
        print(
            f"Python {python}: {len(pins())} pins, "
            + (f"no wheel for {', '.join(lacking)}" if lacking else "all there")
        )
    return 1 if any(results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
