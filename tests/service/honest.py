"""A good request, and what must hold of a service whatever else is sent to it."""

import contextlib
import json
import threading
import time

from tests.containers import encoded

GOOD = json.dumps({"images": [encoded("line.png")]}).encode()
TEXT = "单行识别2026"
#: A good request has its answer in so many seconds on a machine busy with other tests.
SOON = 20
#: MB the front may take beyond what it had, whatever is sent.
ROOM = 120
_PROCESSES = """
import json, pathlib
found = {}
for folder in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        name = (folder / "cmdline").read_bytes().replace(b"\\0", b" ").decode()
        status = (folder / "status").read_text()
    except OSError:
        continue
    if name.rstrip().endswith("-m ppocr_serving run"):
        found["front"] = {"pid": int(folder.name),
                          "mb": int(status.split("VmRSS:")[1].split()[0]) / 1000}
print(json.dumps(found))
"""


def front_of(service):
    """pid and megabytes of the front."""
    return json.loads(service.execute("python", "-c", _PROCESSES).stdout)["front"]


def lost(service, headers=None):
    return service.metric('ppocr_worker_restarts_total{reason="lost"}', headers)


def assert_contract(reply):
    """An error in the contract's shape, which says something."""
    assert reply is not None, "closed without a word"
    assert reply.headers["content-type"] == "application/json", reply
    assert set(reply.said) == {"status", "msg", "results"}, reply
    assert reply.said["status"] != "000" and reply.said["msg"] and len(reply.body) < 9000, reply


def assert_good(service, headers=None):
    started = time.monotonic()
    status, answer = service.predict("ocr_rec", GOOD, headers, timeout=SOON)
    assert status == 200 and answer["results"][0][0]["text"].strip() == TEXT, answer
    assert time.monotonic() - started < SOON


@contextlib.contextmanager
def nobody_harmed(service, headers=None):
    """A block in which an honest client goes on asking; the service is as before when it ends."""
    before, workers = front_of(service), lost(service, headers)
    stop, failures, answered = threading.Event(), [], threading.Event()

    def honest():
        while not stop.is_set():
            try:
                assert_good(service, headers)
                answered.set()
            except (AssertionError, OSError) as error:
                failures.append(error)
                answered.set()
                return

    client = threading.Thread(target=honest)
    client.start()
    try:
        answered.wait(SOON)
        yield
    finally:
        stop.set()
        client.join()
    assert not failures, failures
    after = front_of(service)
    assert after["pid"] == before["pid"], "the front was lost"
    assert after["mb"] < before["mb"] + ROOM, (before, after)
    assert lost(service, headers) == workers
