"""The class of a user's own model: imported from its file or package, and looked at before it is used."""

from __future__ import annotations

import hashlib
import inspect
import logging
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from eraflow.disk.digest import file_sha256
from eraflow.errors import EraflowError
from eraflow.ownkinds import (
    ModelClassError,
    ModelFileError,
    ModelPackageError,
    is_file_kind,
    module_file,
    own_source,
    split_file_kind,
)

log = logging.getLogger("eraflow.own")

ALONE = "a model's file stands alone: install what it imports, and put several files into a package"
FIT = {"plan": None, "seed": 0, "progress": None}
LOOKS: Mapping[str, tuple[str, tuple[Any, ...], Mapping[str, Any]]] = {
    "fit": ("def fit(self, x, y, *, plan, seed, progress=None)", (None, None, None), FIT),
    "predict": ("def predict(self, x, *, plan=None)", (None, None), {"plan": None}),
    "save": ("def save(self, folder)", (None, None), {}),
    "load": ("@classmethod def load(cls, folder)", (None,), {}),
}
"""What a class must have: how it looks, and with what it is called."""
WHOLE_ERAS = "with needs_whole_eras, fit and predict take eras, too: def predict(self, x, *, eras, plan=None)"


@dataclass(frozen=True)
class OwnClass:
    """A class that may be used.

    Attributes:
        learner: the class itself.
        label: what people call it: `mine.py:Mine`, or the name of its entry point.
        content: of its file; None for a class of an installed package.
        origin: JSON values that stand in `model.json`: where it is from and the sha256 of its source.
    """

    learner: Any
    label: str
    content: bytes | None
    origin: Mapping[str, str]

    @property
    def needs_whole_eras(self) -> bool:
        """Whether it is given whole eras and their offsets."""
        return getattr(self.learner, "needs_whole_eras", False) is True


def class_of(kind: str, source: str = "") -> OwnClass:
    """The class that a kind of the settings names.

    Args:
        kind: `FILE.py:Class`, or the name of an entry point.
        source: sha256 that the source had when the work was planned; empty: it is not looked at.

    Raises:
        ModelFileError, ModelClassError, ModelPackageError: it cannot be used; the text says why.
    """
    own = own_source(kind)
    if source and own.sha256 != source:
        raise ModelFileError(f"the source of {kind} has changed since the run looked at it", "start the run again")
    if is_file_kind(kind):
        file, name = split_file_kind(kind)
        return class_in(own.content, name, file)
    module, _, name = own.path.partition(":")
    origin = {
        "path": own.path,
        "entry_point": kind,
        "package": own.package,
        "version": own.version,
        "sha256": own.sha256,
    }
    return OwnClass(_checked(_installed(module, name, own.package), kind), kind, None, origin)


def class_in(content: bytes, name: str, file: Path) -> OwnClass:
    """The class of this name in a source.

    Raises:
        ModelFileError, ModelClassError: as `class_of`.
    """
    label, digest = f"{file.name}:{name}", hashlib.sha256(content).hexdigest()
    module = _module(content, file, digest)
    if not inspect.isclass(getattr(module, name, None)):
        raise ModelClassError(f"{file} holds no class {name}", "name the class as the file has it")
    origin = {"file": file.name, "class": name, "sha256": digest}
    return OwnClass(_checked(getattr(module, name), label), label, content, origin)


def class_again(origin: Mapping[str, Any], label: str) -> OwnClass:
    """The class of an installed package that a saved model names.

    Raises:
        ModelPackageError: the package is gone.
        ModelFileError, ModelClassError: as `class_of`.
    """
    module, _, name = str(origin["path"]).partition(":")
    place = module_file(module)
    if place is not None and file_sha256(place) != origin["sha256"]:
        log.warning("%s is another version of %s than the model was trained by", place, label)
    return OwnClass(_checked(_installed(module, name, str(origin["package"])), label), label, None, dict(origin))


def failed_line(error: BaseException, file: str) -> str:
    """` in line 12 of mine.py`, the deepest of a file that the error came through; empty where it did not."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f" in line {lines[-1]} of {Path(file).name}" if lines else ""


def _module(content: bytes, file: Path, digest: str) -> ModuleType:
    """The module of a source; the same source is the same module wherever it lies, so that pickles find its classes."""
    name = f"eraflow_own_{digest[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = str(file)
    sys.modules[name] = module
    try:
        _refused(lambda: exec(compile(content, str(file), "exec", dont_inherit=True), module.__dict__), str(file))
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _installed(module: str, name: str, package: str) -> Any:
    try:
        found = _refused(lambda: import_module(module), module)
    except ModelFileError as error:
        if isinstance(error.__cause__, ModuleNotFoundError) and f"{module}.".startswith(f"{error.__cause__.name}."):
            raise ModelPackageError(
                f"a model comes from {module}:{name} of the package {package}, which is not installed here",
                f"install {package}, as it was when the model was trained",
            ) from error
        raise
    if not inspect.isclass(getattr(found, name, None)):
        raise ModelClassError(f"the module {module} holds no class {name}", "correct the package's entry point")
    return getattr(found, name)


def _refused(work: Callable[[], Any], place: str) -> Any:
    """What `work` gives; whatever a user's module raises while it is imported becomes one named error."""
    try:
        return work()
    except (EraflowError, MemoryError):
        raise
    except ImportError as error:
        raise ModelFileError(f"{place} cannot be imported{failed_line(error, place)}: {error}", ALONE) from error
    except SyntaxError as error:
        raise ModelFileError(f"{place} line {error.lineno} is no Python: {error.msg}", "correct the file") from error
    except (Exception, SystemExit) as error:
        where, told = failed_line(error, place), f"{type(error).__name__}: {error}"
        raise ModelFileError(f"{place} cannot be imported{where}: {told}", "correct the file") from error


def _checked(learner: Any, label: str) -> Any:
    """The class, when everything that it is called by is there and takes what it is given.

    Raises:
        ModelClassError: something is missing or takes something else.
    """
    whole = getattr(learner, "needs_whole_eras", False) is True
    if not _takes(learner, (), {"params": {}}):
        raise ModelClassError(f"{label} cannot be made with params", "write def __init__(self, params)")
    for name, (looks, values, keywords) in LOOKS.items():
        method = getattr(learner, name, None)
        if not callable(method):
            raise ModelClassError(f"{label} has no {name}", f"write {looks}")
        if inspect.iscoroutinefunction(method) or inspect.isgeneratorfunction(method):
            told = f"{label}.{name} does nothing when it is called"
            raise ModelClassError(told, f"write {looks} as a plain function")
        eras = {"eras": None} if whole and name in ("fit", "predict") else {}
        if not _takes(method, values, {**keywords, **eras}):
            hint = f"; {WHOLE_ERAS}" if eras else ""
            raise ModelClassError(f"{label}.{name} takes other arguments than it is given", f"write {looks}{hint}")
    return learner


def _takes(called: Any, values: tuple[Any, ...], keywords: Mapping[str, Any]) -> bool:
    try:
        inspect.signature(called).bind(*values, **keywords)
    except TypeError:
        return False
    except ValueError:  # written in C, without a signature: found out when it is called
        return True
    return True
