"""Many mixed requests: sizes, formats, bad ones among them; answers stay right, memory bounded.

A step of ``scripts/test --full``, which asks for 2,000 (``--soak-requests``). The curve of memory
and the figures are kept in build/soak.json.
"""

import base64
import json
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pictures
from PIL import Image

from tests import pdfs
from tests.containers import encoded

SIZES = ((320, 90), (480, 120), (900, 200), (1500, 400), (2400, 700))
KEPT = Path(__file__).parents[2] / "build/soak.json"
#: MB a worker may grow beyond what it had when all kinds of request were answered once, and then
#: some: shapes are cached up to a bound. Its ceiling is 1500.
GROWTH = 250


def work():
    """Bodies that must be answered, and (body, status) that must be refused."""
    right = []
    for name in ("mixed.jpg", "table.png", "small.png", "line.png", "blank.png", "tilted.jpg"):
        right.append({"images": [encoded(name)]})
    for size in SIZES:
        picture = pictures.page().resize(size, Image.Resampling.LANCZOS)
        right.append({"images": [pictures.saved(picture, "PNG")]})
    right += [{"images": [picture]} for picture in pictures.readable().values()]
    right.append({"images": [encoded("line.png"), encoded("small.png")]})
    sheets = base64.b64encode(pdfs.scanned([pictures.page(), pictures.page("L")])).decode()
    right += [{"pdfs": [sheets]}, {"images": [encoded("small.png")], "pdfs": [sheets, "AAAA"]}]
    wrong = [({"images": [bad]}, 422) for bad in pictures.unreadable().values()]
    wrong += [({"images": [pictures.huge_png(20000, 20000)]}, 413), ({"images": ["a"]}, 400)]
    wrong += [(b"{", 400), ({"paths": ["x"]}, 400), ({}, 400)]
    for data, status, _ in pdfs.hostile().values():
        wrong.append(({"pdfs": [base64.b64encode(data).decode()]}, status))
    return right, wrong


def worker_megabytes(service):
    """Memory of the largest worker."""
    text = service.request("GET", "/metrics")[2].decode()
    lines = [line for line in text.splitlines() if line.startswith("ppocr_worker_memory_bytes")]
    return max(float(line.rpartition(" ")[2]) for line in lines) / 1e6


def test_soak(start, request):
    service = start(max_requests=400, timeout=120).ready()
    requests = request.config.getoption("--soak-requests")
    right, wrong = work()
    expected = [service.predict("ocr_system", body) for body in right]
    assert all(status == 200 for status, _ in expected)
    dice = random.Random(5)  # noqa: S311 - the same requests every time
    orders = [
        (dice.choice(wrong), None) if dice.random() < 0.2 else (None, dice.randrange(len(right)))
        for _ in range(requests)
    ]
    problems, memory, answered, lock = [], [], Counter(), threading.Lock()

    def one(order):
        bad, good = order
        body, status = bad if bad else (right[good], 200)
        got, answer = service.predict("ocr_system", body)
        with lock:
            answered[got] += 1
            if got != status:
                problems.append((got, answer))
            elif good is not None and answer != expected[good][1]:
                problems.append((answer, expected[good][1]))

    started = time.monotonic()
    with ThreadPoolExecutor(4) as clients:
        for index in range(0, requests, 50):
            list(clients.map(one, orders[index : index + 50]))
            memory.append(round(worker_megabytes(service)))
    figures = {
        "requests": requests,
        "seconds": round(time.monotonic() - started),
        "answers": dict(sorted(answered.items())),
        "problems": len(problems),
        "renewed": service.metric('ppocr_worker_restarts_total{reason="recycled"}'),
        "lost": service.metric('ppocr_worker_restarts_total{reason="lost"}'),
        "largest worker, MB, every 50 requests": memory,
    }
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures))
    assert problems == []
    assert set(answered) <= {200, 400, 413, 422}
    assert figures["lost"] == 0
    assert max(memory) < memory[0] + GROWTH, memory
