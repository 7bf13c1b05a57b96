"""A client that never stops asking: what people see while a service changes."""

from __future__ import annotations

import base64
import json
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

SMALL = Path(__file__).parents[2] / "smoke_tests/samples/small.png"  # thousands take minutes
PICTURE = base64.b64encode(SMALL.read_bytes()).decode()
BODY = json.dumps({"images": [PICTURE]}).encode()
AT_ONCE = 4
#: By how many answers a change is judged where a test counts them (--full: thousands).
ENOUGH = int(os.environ.get("PPOCR_LAB_ANSWERS", "1"))
PATIENCE = 1200.0  # seconds


@dataclass
class Steady:
    """Posts a sample all the time, AT_ONCE requests at once, between ``with`` and its end.

    Each thread keeps its connection, as clients do.

    Args:
        url: of the module.
        texts: what every answer has to read.
        options: for ``requests``, such as headers or verify.
        enough: how many answers there must be; the end waits for them, but not after a loss.

    ``lost`` has the time of each lost answer (seconds since the epoch), and what was wrong.
    """

    url: str
    texts: list[str]
    options: dict[str, Any] = field(default_factory=dict)
    enough: int = 1
    answers: int = 0
    lost: list[tuple[float, str]] = field(default_factory=list)
    longest: float = 0.0  # seconds

    def __enter__(self) -> Steady:
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._ask_on) for _ in range(AT_ONCE)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        until = time.monotonic() + (0 if error else PATIENCE)
        try:
            while self.answers < self.enough and not self.lost and time.monotonic() < until:
                time.sleep(0.1)
        finally:  # also where the session is interrupted
            self._end.set()
        for thread in self._threads:
            thread.join()
        print(f"{self.answers} answers, {len(self.lost)} lost, longest {self.longest:.1f} s")

    def assert_nothing_lost(self) -> None:
        """Fail unless there were enough answers, and each was right."""
        assert self.lost == []
        assert self.answers >= self.enough

    def assert_lost_once(self, until: float, seconds: float) -> None:
        """Fail if answers were lost after a time (since the epoch), or for longer than so long."""
        times = [at for at, _ in self.lost] or [until]
        first, last = min(times), max(times)
        print(f"the port was closed for {last - first:.1f} s")
        assert last < until + 1
        assert last - first < seconds

    def _ask_on(self) -> None:
        session = requests.Session()
        session.trust_env = False
        while not self._end.is_set():
            began = time.monotonic()
            try:
                read = texts(session, self.url, **self.options)
                fault = "" if read == self.texts else f"read {read}"
            except (requests.RequestException, ValueError, KeyError, IndexError) as error:
                fault = repr(error)
                time.sleep(0.1)
            if fault:
                self.lost.append((time.time(), fault))
            else:
                self.answers += 1
            self.longest = max(self.longest, time.monotonic() - began)


def texts(session: requests.Session, url: str, **options: Any) -> list[str]:
    """The lines a service reads in the sample.

    Raises requests.RequestException, ValueError, KeyError or IndexError where it does not answer.
    """
    headers = {"Content-Type": "application/json", **options.pop("headers", {})}
    answer = session.post(url, BODY, headers=headers, timeout=60, **options)
    if answer.status_code != 200:
        raise ValueError(f"HTTP {answer.status_code}: {answer.text[:200]}")
    return [line["text"] for line in json.loads(answer.text)["results"][0]]
