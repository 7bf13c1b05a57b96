"""Kills processes of a service at random while clients check every answer.

    with Killing(service, clients=4) as killing:
        killing.spread(kills=60, seconds=600)
    print(killing.client_status())

What a client may meet: the right text; 503 in the contract's shape; 500 that says a request has
lost its workers, after three of them; a connection that ends without an answer, since the front it
was with was killed. Anything else is kept in ``wrong``.
"""

import http.client
import json
import random
import threading
import time
from collections import Counter

from tests.containers import encoded

SAMPLE, TEXT = "line.png", "单行识别2026"
ROLES = ("run", "gunicorn", "worker")
#: Processes of a service with one worker that has come to rest, by role.
AT_REST = {"run": 1, "gunicorn": 1, "worker": 1, "draw": 0}


class Killing:
    """Clients that ask all the time, and a hand that kills.

    Attributes:
        counts: answers by outcome: right, busy (503), given up (500, after three workers), lost (no
            answer); kills by role.
        wrong: answers that should not have been.
    """

    def __init__(self, service, clients=4, seed=0):
        self._service = service
        self._random = random.Random(seed)  # noqa: S311 - which process, no secret
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.counts, self.wrong = Counter(), []
        self._clients = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self):
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for client in self._clients:
            client.join()

    def _ask(self):
        body = {"images": [encoded(SAMPLE)]}
        while not self._stop.is_set():
            try:
                status, data = self._service.post("ocr_rec", body, timeout=300)
            except (OSError, http.client.HTTPException):
                outcome = "lost"
                time.sleep(0.02)
            else:
                outcome = self._outcome(status, data)
            with self._lock:
                self.counts[outcome] += 1

    def _outcome(self, status, data):
        try:
            answer = json.loads(data)
            if status == 200 and answer["results"][0][0]["text"].strip() == TEXT:
                return "right"
            if status == 503 and answer["status"] == "101":
                return "busy"
            if status == 500 and "lost its workers" in answer["msg"]:
                return "given up"
        except (ValueError, LookupError, TypeError):
            pass
        with self._lock:
            self.wrong.append((status, data[:300]))
        return "wrong"

    def kill(self, role):
        """Kill a process of this role, if there is one now; return whether there was."""
        pids = self._service.pids(role)
        if pids:
            self._service.kill(self._random.choice(pids))
            self.counts[f"killed {role}"] += 1
        return bool(pids)

    def spread(self, kills, seconds):
        """Kill at random moments, and roles at random, over a time."""
        started = time.monotonic()
        for moment in sorted(self._random.uniform(0, seconds) for _ in range(kills)):
            time.sleep(max(0, started + moment - time.monotonic()))
            # In the moment of a restart the role chosen may have none: another one then.
            any(self.kill(role) for role in self._random.sample(ROLES, len(ROLES)))

    def client_status(self):
        """Figures in one line."""
        counts = dict(sorted(self.counts.items()))
        sent = sum(self.counts[key] for key in ("right", "busy", "lost", "wrong"))
        return f"kills: sent {sent}; {counts}"


def orphans(service):
    """Processes of the service whose parent is not the one that starts their kind."""
    roles, found = service.roles(), service.processes()
    starter = dict(zip((*ROLES, "draw"), ("serve", *ROLES), strict=True))
    return {
        pid: (role, found.get(pid))
        for pid, role in roles.items()
        if role in starter and pid in found and roles.get(found[pid][0]) != starter[role]
    }
