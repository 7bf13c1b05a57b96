"""Bad requests by the ten thousand over connections that are kept open."""

import base64
import http.client
import json
import threading
from collections import Counter

#: A request of each kind: path, body, and what it must be answered. Long texts among them: what a
#: request says is not to be found again in files of the service.
LONG = "x" * 3000


def _body(value):
    return json.dumps(value).encode()


KINDS = (
    ("/predict/ocr_system", b"{", {400}),
    ("/predict/ocr_system", b"[]", {400}),
    ("/predict/ocr_system", _body({}), {400}),
    ("/predict/ocr_system", _body({"images": "a"}), {400}),
    ("/predict/ocr_system", _body({"images": [LONG]}), {400, 422}),
    ("/predict/ocr_rec", _body({"images": [base64.b64encode(LONG.encode()).decode()]}), {422}),
    ("/predict/ocr_system", _body({LONG: 1}), {400}),
    ("/predict/ocr_det", _body({"images": ["AAAA"], "paths": [LONG]}), {400}),
    ("/predict/ocr_system", _body({"pdfs": [LONG]}), {400, 422}),
    ("/predict/" + LONG[:90], _body({"images": []}), {404}),
    ("/predict/stuck", _body({"fail": LONG}), {500}),
    ("/predict/stuck", _body({"no_such_argument": LONG}), {500}),
    ("/" + LONG[:500], b"", {404}),
)


class Flood:
    """Sends bad requests from some clients at once.

    Attributes:
        counts: answers by HTTP status.
        wrong: (path, status) of answers that should have been others.
    """

    def __init__(self, service, requests, clients=4):
        self._service = service
        self._left = iter(range(requests))
        self._clients = clients
        self._lock = threading.Lock()
        self.counts, self.wrong = Counter(), []

    def send(self):
        """Send them all; return when each was answered."""
        threads = [threading.Thread(target=self._client) for _ in range(self._clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _client(self):
        connection = self._service.connection()
        while True:
            with self._lock:
                number = next(self._left, None)
            if number is None:
                connection.close()
                return
            path, body, expected = KINDS[number % len(KINDS)]
            try:
                connection.request("POST", path, body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                status = answer.status
            except (OSError, http.client.HTTPException) as error:
                status = repr(error)
                connection.close()
            with self._lock:
                self.counts[status] += 1
                if status not in expected:
                    self.wrong.append((path[:40], body[:40], status))


def run_kilobytes(service):
    """Size of what the service keeps in /run/ppocr."""
    return int(service.execute("du", "-sk", "/run/ppocr").stdout.split()[0])
