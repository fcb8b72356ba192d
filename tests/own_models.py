"""Models as a user writes them, outside of the repository: in a file, or in an installed package."""

import sys
from pathlib import Path

FOLDER = Path(__file__).parent / "usermodels"
RIDGE = (FOLDER / "mine.py").read_text(encoding="utf-8")
"""What README shows."""
WHOLE = (FOLDER / "relative.py").read_text(encoding="utf-8")
"""A model whose prediction of a row depends on the other rows of its era."""


def write_model_file(folder: Path, source: str = RIDGE, name: str = "mine.py") -> Path:
    """A user's file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(source, encoding="utf-8")
    return path


def install_package(
    folder: Path,
    monkeypatch,
    *,
    kind: str = "ridge",
    module: str = "toy_ridge",
    source: str = RIDGE,
    cls: str = "Ridge",
) -> Path:
    """A package with an entry point, as pip would leave it, on the path of this process and its children."""
    write_model_file(folder, source, f"{module}.py")
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module.replace('_', '-')}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[eraflow.models]\n{kind} = {module}:{cls}\n")
    monkeypatch.syspath_prepend(str(folder))
    sys.modules.pop(module, None)
    return folder / f"{module}.py"
