"""Settings of the server process; the role passes them as environment variables."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping


class SettingsError(ValueError):
    """A PPOCR_* variable has a value it cannot have."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """How gunicorn runs the app. Each field is read from ``PPOCR_<FIELD>``.

    Attributes:
        workers: processes, each with its own models.
        threads: requests a worker takes in at once (inference itself runs on one thread).
        timeout: seconds after which a worker that shows no sign of life is replaced.
        graceful_timeout: seconds requests in flight have to finish after SIGTERM.
        max_requests: requests after which a worker is replaced by a fresh one; 0 for never.
        backlog: connections that wait while all threads are busy.
    """

    workers: int = 1
    threads: int = 4
    timeout: int = 60
    graceful_timeout: int = 30
    max_requests: int = 5000
    backlog: int = 128

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read the settings.

        Raises:
            SettingsError: a value is no number, or too small.
        """
        values = {}
        for field in dataclasses.fields(cls):
            name = f"PPOCR_{field.name.upper()}"
            text = environment.get(name, "").strip()
            if not text:
                continue
            least = 0 if field.name == "max_requests" else 1
            if not text.isdigit() or int(text) < least:
                raise SettingsError(f"{name}={text}: not a whole number of at least {least}")
            values[field.name] = int(text)
        return cls(**values)
