"""One value of `--set`, read as its setting takes it.

A setting that takes text takes it as it stands: `submit.model=1e5` is the slot 1e5, `data.version=5.30` is not 5.3. An
optional one is emptied by `null` or by nothing at all; text in double quotes is read as JSON, so that a slot may even
be called "null". A list of texts is a JSON list, or texts with commas between them. Everything else is JSON.
"""

from __future__ import annotations

import json
from typing import Any, Literal, NoReturn, get_args, get_origin

from eraflow.errors import SettingsError
from eraflow.settings.listing import alternatives
from eraflow.settings.writable import DEEPEST, NotWritableError, check_writable, shown


def read_value(annotation: Any, text: str, key: str) -> Any:
    """The value that `text` stands for.

    Args:
        annotation: the type of the setting.
        text: what follows the `=`.
        key: the name of the setting, for messages.

    Raises:
        SettingsError: a number that is not finite, a name twice in one object, or JSON nested too deep.
    """
    kinds = [one for one in alternatives(annotation) if one is not type(None)]
    if len(kinds) < len(alternatives(annotation)) and text.strip() in ("", "null"):
        return None
    if any(get_origin(one) is list and get_args(one) == (str,) for one in kinds):
        return _texts(kinds, text, key)
    if str in kinds or any(get_origin(one) is Literal and isinstance(get_args(one)[0], str) for one in kinds):
        return _text(text, key)
    value = read_json(text, key)
    if isinstance(value, bool) and (int in kinds or float in kinds) and bool not in kinds:
        raise SettingsError(f"{key} takes a number, not {text.strip()}", f"write it as {key}=NUMBER")
    return value


def read_json(text: str, key: str) -> Any:
    """JSON, or the text itself where it is none.

    Raises:
        SettingsError: as `read_value`.
    """
    try:
        value = json.loads(text, object_pairs_hook=_once_each, parse_constant=_not_finite)
        check_writable(value, key)
    except NotWritableError as error:
        raise SettingsError(f"cannot read {key}={shown(text)}: {error}", "correct the value and run again") from error
    except RecursionError as error:
        raise SettingsError(f"{key} is nested deeper than {DEEPEST} levels", "write it flatter") from error
    except ValueError:
        return text
    return value


def _text(text: str, key: str) -> Any:
    quoted = text.strip()
    if len(quoted) >= 2 and quoted[0] == quoted[-1] == '"':
        value = read_json(quoted, key)
        return value if isinstance(value, str) else text
    return text


def _texts(kinds: list[Any], text: str, key: str) -> Any:
    """A list of texts, or one text where the setting takes that too."""
    if text.lstrip()[:1] in ("[", "{") or text.strip()[:1] == '"':
        return read_json(text, key)
    if str in kinds:
        return text
    return [part.strip() for part in text.split(",") if part.strip()]


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise NotWritableError(f"it holds {shown(name)} twice")
        found[name] = value
    return found


def _not_finite(text: str) -> NoReturn:
    raise NotWritableError(f"it holds {text}, and no setting takes a number that is not finite")
