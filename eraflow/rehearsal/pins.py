"""The versions in Numerai's images, by Python: what a rehearsal installs, and what is known to be absent there.

Read from `pyX.Y/poetry.lock` of numerai/numerai-predict at commit 19d1769, of 2026-04-14. A newer lock is taken by
`eraflow rehearse --update FILE` into the home, and then stands before these.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path

from eraflow.disk.atomic import write_json
from eraflow.disk.digest import value_sha256
from eraflow.errors import EraflowError

READ = "2026-04-14"
_SAME = {"scikit-learn": "1.6.1", "numba": "0.61.2"}
_COMMON = {**_SAME, "numpy": "2.1.3", "pandas": "2.3.2", "scipy": "1.16.2", "xgboost": "3.0.5", "catboost": "1.2.8"}
_COMMON = {**_COMMON, "cloudpickle": "3.1.1", "numerai-tools": "0.4.3", "joblib": "1.5.2"}
PINS: dict[str, dict[str, str]] = {
    "3.11": {**_COMMON, "lightgbm": "4.6.0", "pyarrow": "21.0.0", "polars": "1.33.1"},
    "3.12": {**_COMMON, "lightgbm": "4.5.0", "pyarrow": "18.1.0", "polars": "1.38.1"},
    "3.13": {
        **_SAME,
        "numpy": "2.2.6",
        "pandas": "2.3.3",
        "scipy": "1.17.1",
        "xgboost": "3.0.5",
        "catboost": "1.2.10",
        "cloudpickle": "3.1.2",
        "numerai-tools": "0.4.3",
        "joblib": "1.5.3",
        "lightgbm": "4.5.0",
        "pyarrow": "18.1.0",
        "polars": "1.38.1",
    },
}
"""Python -> package -> version, of the packages that a rehearsal installs. The image has more, see `PRESENT`."""
PRESENT = ("torch", "tensorflow", "jax", "onnx", "skorch", "tabpfn", "statsmodels", "einops")
"""What the image has and the rehearsal has not, because it takes gigabytes: no model of ours needs it."""
ABSENT = (
    *("torch_geometric", "transformers", "peft", "accelerate", "safetensors", "tabm", "onnxruntime"),
    *("prefect", "optuna", "mlflow", "eraflow", "models", "tasks", "flows"),
)
"""Modules that no image has: they are hidden, wherever a rehearsal's environment may have them from."""


class UnknownPythonError(EraflowError):
    """There are no versions of an image for that Python. Choose one that Numerai has, or take its lock by --update."""

    code = "unknown_python"
    exit_code = 2


class LockFileError(EraflowError):
    """A file that was named as a newer lock cannot be read as one, or lacks a package that a rehearsal needs."""

    code = "lock_file"
    exit_code = 2


@dataclass(frozen=True)
class Pins:
    """The versions of one image.

    Attributes:
        python: such as 3.11.
        read: of which day they are.
        versions: package -> version.
    """

    python: str
    read: str
    versions: dict[str, str]

    @property
    def digest(self) -> str:
        """Twelve characters that name an environment of these versions."""
        return value_sha256({"python": self.python, "versions": self.versions})[:12]

    def requirements(self) -> str:
        """The content of a requirements file."""
        return "".join(f"{name}=={version}\n" for name, version in sorted(self.versions.items()))


def pins_for(python: str, updates: Path) -> Pins:
    """The versions of the image for a Python: a newer lock that was taken, else those above.

    Args:
        python: such as 3.11.
        updates: folder of taken locks.

    Raises:
        UnknownPythonError: there are none.
    """
    taken = updates / f"{python}.json"
    if taken.is_file():
        told = json.loads(taken.read_text(encoding="utf-8"))
        return Pins(python, str(told["read"]), dict(told["versions"]))
    if python not in PINS:
        raise UnknownPythonError(
            f"no versions of an image for Python {python!r} are known",
            f"choose {', '.join(PINS)}, or take its poetry.lock by `eraflow rehearse --update FILE --python {python}`",
        )
    return Pins(python, READ, PINS[python])


def take_lock(path: Path, python: str, updates: Path, today: str) -> Pins:
    """Keep the versions of a newer `poetry.lock` for a Python, of the packages that are installed here.

    Packages that those bring along, and that the lock names, are pinned as well.

    Raises:
        LockFileError: it is no such file, or lacks one of the packages.
    """
    wanted = PINS.get(python, PINS["3.12"])
    try:
        listed = tomllib.loads(path.read_text(encoding="utf-8"))["package"]
        found = {str(one["name"]).lower().replace("_", "-"): one for one in listed}
        versions = {name: str(found[name]["version"]) for name in _with_needs(list(wanted), found)}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LockFileError(
            f"{path} cannot be used as a lock: {error}", "name the poetry.lock of Numerai's image for this Python"
        ) from error
    write_json(updates / f"{python}.json", {"read": today, "versions": versions})
    return Pins(python, today, versions)


def _with_needs(names: list[str], found: dict[str, dict[str, object]]) -> list[str]:
    """The packages and what they need, as far as the lock has it; those for other systems have a marker."""
    for name in names:
        needs = found[name].get("dependencies", {})
        for other, how in needs.items() if isinstance(needs, dict) else ():
            key = other.lower().replace("_", "-")
            if key in found and key not in names and not (isinstance(how, dict) and how.get("optional")):
                names.append(key)
    return names
