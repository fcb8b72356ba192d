"""What the sandbox does wrong on demand. Every fault is a count: it happens to the next so many requests."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, fields


@dataclass
class Faults:
    """Armed faults.

    Attributes:
        put_403: uploads that are answered 403 and not kept, as an expired signature is.
        server_500: API requests that are answered 500.
        wrong_key: API requests whose key is not accepted, whatever it is.
    """

    put_403: int = 0
    server_500: int = 0
    wrong_key: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def take(self, name: str) -> bool:
        """Whether the fault happens now; one of its count is used up."""
        with self._lock:
            left = int(getattr(self, name))
            if left > 0:
                setattr(self, name, left - 1)
            return left > 0

    def arm(self, counts: dict[str, int]) -> dict[str, int]:
        """Set the counts given and return all. An unknown name raises KeyError."""
        with self._lock:
            for name in counts:
                if name not in self.names():
                    raise KeyError(name)
            for name, count in counts.items():
                setattr(self, name, int(count))
            return {name: int(getattr(self, name)) for name in self.names()}

    @staticmethod
    def names() -> list[str]:
        """The faults that can be armed."""
        return [part.name for part in fields(Faults) if not part.name.startswith("_")]
