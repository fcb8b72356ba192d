"""Hugging Face PEFT, which is an extra: imported only when a base is adapted, offline and in silence."""

from __future__ import annotations

from typing import Any

from models.base.libraries import MissingLibraryError
from models.networks.transformerslibrary import transformers_library


def peft_library() -> Any:
    """The module peft; it asks no hub for anything.

    Raises:
        MissingLibraryError: it, or Transformers, is not installed.
    """
    transformers_library()  # first, as it is told there to be offline and silent
    try:
        import peft
    except ImportError as error:
        raise missing_peft(str(error)) from error
    library: Any = peft
    return library


def missing_peft(why: str) -> MissingLibraryError:
    """The error of a PEFT that cannot be imported."""
    return MissingLibraryError(
        f"adapt=lora needs PEFT, which cannot be imported ({why})",
        "install it with `pip install 'eraflow[networks]'`, or set adapt=none for the transformer",
    )
