"""Hugging Face Transformers, which is an extra: imported only when a transformer is trained, offline and in silence."""

from __future__ import annotations

import os
from typing import Any

from models.base.libraries import MissingLibraryError


def transformers_library() -> Any:
    """The module transformers; it asks no hub for anything and draws no bars of progress.

    Raises:
        MissingLibraryError: it is not installed.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # both are read when it is imported
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        import transformers
    except ImportError as error:
        raise MissingLibraryError(
            f"the transformer needs Transformers, which cannot be imported ({error})",
            "install it with `pip install 'eraflow[networks]'`, or leave the transformer out of `models`",
        ) from error
    library: Any = transformers
    library.utils.logging.set_verbosity_error()
    return library
