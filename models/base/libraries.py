"""Which libraries the kinds of models need, and what is left of a run's members where one is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from eraflow.errors import EraflowError
from eraflow.kinds import find
from eraflow.settings.run import RunSettings


class MissingLibraryError(EraflowError):
    """A kind of model needs a library that is not installed. Install the extra, or leave such models out."""

    code = "missing_library"
    exit_code = 2


@contextmanager
def needed(who: str, package: str, instead: str) -> Iterator[None]:
    """Name what to install where an import within the block fails.

    Args:
        who: needs it.
        package: as it is called on the index of packages.
        instead: what else can be done.

    Raises:
        MissingLibraryError: it cannot be imported.
    """
    try:
        yield
    except ImportError as error:
        raise MissingLibraryError(
            f"{who} needs {package}, which cannot be imported ({error})",
            f"install it with `pip install 'eraflow[networks]'`, or {instead}",
        ) from error


def missing_library(kind: str) -> MissingLibraryError | None:
    """The error of a kind whose library is not installed; None when it is. Nothing is imported."""
    row = find(kind)
    if not row.library or find_spec(row.library) is not None:
        return None
    return MissingLibraryError(
        f"{row.name} needs {row.library}, which is not installed",
        f"install it (`make install`, or `pip install '{row.extra or row.library}'`), or leave {row.name} out of "
        "`models`",
    )


def check_code_library(settings: RunSettings) -> None:
    """Refuse a code of the features that cannot be learnt here; nothing is imported.

    Raises:
        MissingLibraryError: torch is not installed.
    """
    code = settings.data.code
    if code != "none" and find_spec("torch") is None:
        raise MissingLibraryError(
            f"data.code={code} needs torch, which is not installed",
            "install it (`make install`, or `pip install 'eraflow[networks]'`), or set data.code=none",
        )


def present_members(settings: RunSettings) -> tuple[RunSettings, dict[str, MissingLibraryError]]:
    """The settings without the optional members that cannot be trained here, and why each of those is left out.

    A member that `selection.models` or `search.models` names is wanted, as one is that is not optional.

    Raises:
        MissingLibraryError: a member that is wanted cannot be trained, or none is left.
    """
    lacking = {model.name: error for model in settings.models if (error := missing_library(model.kind)) is not None}
    left = [model for model in settings.models if model.name not in lacking]
    wanted = wanted_names(settings)
    for model in settings.models:
        if model.name in lacking and (model.name in wanted or not left):
            raise lacking[model.name]
    return (settings.model_copy(update={"models": left}) if lacking else settings), lacking


def wanted_names(settings: RunSettings) -> set[str]:
    """The members that are not left out whatever the reason; see `present_members`."""
    named = {*settings.selection.models, *settings.search.models}
    return {model.name for model in settings.models if not model.optional or model.name in named}
