"""A notification block that works: a webhook whose message holds subject and body."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from prefect.blocks.notifications import CustomWebhookNotificationBlock

from eraflow.errors import SettingsError

TEXT = "{{subject}}\n{{body}}"
TAKE_CONTENT = ("discord.com", "discordapp.com")  # the others take `text`: Slack, Mattermost, Google Chat, Rocket.Chat


def save_webhook(url: str, name: str) -> str:
    """Save the block, or replace the one of that name; returns how settings name it.

    Args:
        url: address of the webhook; a secret, which goes into Prefect's database and nowhere else.
        name: of the block: lower-case letters, digits and dashes.

    Raises:
        SettingsError: the address or the name is none.
    """
    parts = _parts(url)
    if parts is None:
        raise SettingsError("that is no address of a webhook", "give one that begins with https:// or http://")
    if re.fullmatch(r"[a-z0-9-]+", name) is None:
        raise SettingsError(f"a block cannot be named {name[:40]!r}", "use lower-case letters, digits and dashes")
    field = "content" if parts.removeprefix("www.") in TAKE_CONTENT else "text"
    block = CustomWebhookNotificationBlock(name=name, url=url, method="POST", json_data={field: TEXT})
    block.save(name, overwrite=True)
    return f"custom-webhook/{name}"


def saved_webhook(name: str) -> str | None:
    """How settings name the block that was saved earlier; None where the server has none."""
    try:
        CustomWebhookNotificationBlock.load(name)
    except ValueError:  # Prefect's word for "there is none"
        return None
    return f"custom-webhook/{name}"


def _parts(url: str) -> str | None:
    """The host of a web address."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return parts.hostname if parts.scheme in ("http", "https") and parts.hostname else None
