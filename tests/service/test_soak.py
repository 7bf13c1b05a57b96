"""Many mixed requests: sizes, formats, bad ones among them; answers stay right, memory bounded.

``--soak-requests 2000`` is what scripts/test --full asks for; the default is short.
"""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pictures
from conftest import SAMPLES, encoded
from PIL import Image

SIZES = ((320, 90), (480, 120), (900, 200), (1500, 400), (2400, 700))


def work():
    """(body, check of (status, answer)) to choose from."""
    right = []
    for name in ("mixed.jpg", "table.png", "small.png", "line.png", "blank.png", "tilted.jpg"):
        right.append(({"images": [encoded(name)]}, None))
    for size in SIZES:
        picture = pictures.page().resize(size, Image.Resampling.LANCZOS)
        right.append(({"images": [pictures.saved(picture, "PNG")]}, None))
    right += [({"images": [picture]}, None) for picture in pictures.readable().values()]
    right.append(({"images": [encoded("line.png"), encoded("small.png")]}, None))
    wrong = [({"images": [bad]}, 422) for bad in pictures.unreadable().values()]
    wrong += [({"images": [pictures.huge_png(20000, 20000)]}, 413), ({"images": ["a"]}, 400)]
    wrong += [(b"{", 400), ({"paths": ["x"]}, 400), ({}, 400)]
    return right, wrong


def test_soak(start, request):
    service = start(max_requests=400, timeout=120).ready()
    requests = request.config.getoption("--soak-requests")
    right, wrong = work()
    expected = [service.predict("ocr_system", body) for body, _ in right]
    assert all(status == 200 for status, _ in expected)
    dice = random.Random(5)  # noqa: S311 - the same requests every time
    orders = [
        (dice.choice(wrong), None) if dice.random() < 0.2 else (None, dice.randrange(len(right)))
        for _ in range(requests)
    ]
    problems, memory, lock = [], [], threading.Lock()

    def one(order):
        bad, good = order
        body, status = bad if bad else (right[good][0], 200)
        got, answer = service.predict("ocr_system", body)
        with lock:
            if got != status:
                problems.append((got, answer))
            elif good is not None and answer != expected[good][1]:
                problems.append((answer, expected[good][1]))

    with ThreadPoolExecutor(4) as clients:
        for index in range(0, requests, 50):
            list(clients.map(one, orders[index : index + 50]))
            memory.append(service.metric("ppocr_worker_memory_bytes"))
    print("worker memory, MB:", [round(size / 1e6) for size in memory])
    assert problems == []
    assert max(memory) < 2 * 1.5e9
    assert service.metric('ppocr_worker_restarts_total{reason="lost"}') == 0
    assert (SAMPLES / "samples.json").is_file()
