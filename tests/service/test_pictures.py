"""Pictures: read whatever their shape and format, or refused one by one with the reason."""

import base64
import io
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import odd_pictures
import pictures
import pytest
from PIL import Image

from tests import pdfs
from tests.containers import encoded

GOOD = pictures.saved(pictures.page(), "PNG")
WORDS = pictures.TEXT.replace(" ", "")
SIDEWAYS = [(kind, turn) for kind in ("JPEG", "WEBP", "PNG", "TIFF") for turn in range(1, 9)]
INKS = {"black": None, "white": (255, 255, 254), "red": (255, 1, 0), "#777": None}


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A service with the limits as they are by default."""
    from conftest import Service

    shared = Service(tmp_path_factory.mktemp("large"))
    yield shared.ready()
    shared.remove()


def texts(lines):
    return [line["text"].replace(" ", "").replace("O", "0") for line in lines]


def read(service, *images):
    """Texts of each image, and what is said; every answer is one of the contract."""
    status, answer = service.predict("ocr_system", {"images": list(images)})
    assert status == 200 and answer["status"] == "000", answer
    return [texts(lines) for lines in answer["results"]], answer["msg"]


@pytest.mark.parametrize("name", odd_pictures.lying())
def test_a_picture_that_lies_about_its_size_is_refused_alone(service, name):
    lost = service.metric('ppocr_worker_restarts_total{reason="lost"}')
    (found, beside), said = read(service, odd_pictures.sent(odd_pictures.lying()[name]), GOOD)
    assert found == [] and beside == [WORDS]
    assert said.startswith("images[0]: ")
    assert service.metric('ppocr_worker_restarts_total{reason="lost"}') == lost
    assert service.metric("ppocr_worker_memory_bytes") < 1.2e9


@pytest.mark.parametrize("size", [(33000, 1400), (1400, 33000), (64000, 300), (300, 64000)])
def test_a_long_side_is_read(large, size):
    across = size[0] > size[1]
    spread = [part * (max(size) - 500) // 7 + 60 for part in range(8)]
    places = [(place, 100) if across else (40, place) for place in spread]
    picture, lines = odd_pictures.rows(size, places, "L", 40)
    (found, beside), said = read(large, pictures.saved(picture, "PNG"), GOOD)
    assert found == lines and beside == [WORDS] and said == ""


@pytest.mark.parametrize(
    ("size", "across", "down"),
    [((600, 8000), 1, 120), ((8000, 600), 24, 4), ((500, 2500), 1, 40)],
)
def test_no_line_of_a_strip_is_lost_or_doubled(large, size, across, down):
    places = [
        (20 + column * size[0] // across, 15 + row * size[1] // down)
        for row in range(down)
        for column in range(across)
    ]
    picture, lines = odd_pictures.rows(size, places, "L", 28)
    (found,), _ = read(large, pictures.saved(picture, "PNG"))
    lost, others = Counter(lines) - Counter(found), Counter(found) - Counter(lines)
    assert (sorted(lost), sorted(others)) == ([], [])
    status, answer = large.predict("ocr_det", {"images": [pictures.saved(picture, "PNG")]})
    assert status == 200 and len(answer["results"][0]) == len(lines)


def test_a_line_across_all_tiles_is_one_line(large):
    picture = pictures.page("L", (6000, 110), "ONE LONG LINE " * 18)
    (found,), _ = read(large, pictures.saved(picture, "PNG"))
    assert found == ["0NEL0NGLINE" * 18]


@pytest.mark.parametrize(("kind", "orientation"), SIDEWAYS)
def test_orientation_counts_once_in_every_format(service, kind, orientation):
    assert read(service, odd_pictures.turned(kind, orientation)) == ([[WORDS]], "")


@pytest.mark.parametrize(("kind", "ink"), [(k, ink) for k in odd_pictures.LOSSLESS for ink in INKS])
def test_text_on_a_transparent_ground_is_read(service, kind, ink):
    assert read(service, odd_pictures.on_nothing(kind, ink, under=INKS[ink])) == ([[WORDS]], "")


def test_transparency_of_other_kinds(service):
    grey = [odd_pictures.on_nothing(kind, ink, "LA") for kind, ink in (
        ("PNG", "black"), ("PNG", "white"), ("TIFF", "black"))]  # fmt: skip
    bare = pictures.page("L").point(lambda value: 0 if value < 128 else 255)
    keyed = pictures.saved(bare, "PNG", transparency=255)
    found, said = read(service, *grey, odd_pictures.on_palette_nothing())
    assert found == [[WORDS]] * 4 and said == ""
    hidden = pictures.page("RGBA")
    hidden.putalpha(0)
    assert read(service, keyed, pictures.saved(hidden, "PNG")) == ([[WORDS], [WORDS]], "")


def test_frames_that_are_not_read_are_counted(service):
    others = [pictures.page(text=f"OTHER {number}") for number in range(4)]
    files = [
        pictures.saved(pictures.page(), kind, save_all=True, append_images=others)
        for kind in ("TIFF", "GIF", "WEBP", "PNG")
    ]
    for file in files:
        found, said = read(service, GOOD, file)
        assert found == [[WORDS], [WORDS]]
        assert said.startswith("images[1]: ") and "other 4 not" in said
    status, answer = service.predict("ocr_rec", {"images": [files[0]]})
    assert status == 200 and "other 4 not" in answer["msg"]


def test_a_fault_of_one_picture_is_its_own(service):
    dark = pictures.saved(Image.new("RGB", (64, 48)), "PNG")
    bad = pictures.unreadable()["text"]
    status, answer = service.predict("picky", {"images": [GOOD, dark, bad, GOOD]})
    assert (status, answer["status"]) == (200, "000")
    size = [{"size": [480, 120]}]
    assert answer["results"] == [size, [], [], size]
    assert "images[1]: the service failed on this picture" in answer["msg"]
    assert "images[2]: not an image" in answer["msg"] and "secret" not in answer["msg"]
    status, answer = service.predict("picky", {"images": [dark]})
    assert (status, answer["status"], answer["results"]) == (500, "101", [[]])
    assert "images[0]" in answer["msg"]
    page = {"data": odd_pictures.sent(pdfs.scanned([Image.new("RGB", (64, 48))])), "dpi": 72}
    status, answer = service.predict("picky", {"images": [GOOD], "pdfs": [page]})
    assert (status, answer["results"]) == (200, [size, []]) and "pdfs[0] page 1" in answer["msg"]
    service.wait(lambda: "/opt/secret/dark" in service.logs(), 20)


def test_memory_that_runs_out_concerns_the_whole_request(service):
    red = pictures.saved(Image.new("RGB", (64, 48), "red"), "PNG")
    status, answer = service.predict("picky", {"images": [GOOD, red]})
    assert (status, answer["results"]) == (500, "") and "secret" not in answer["msg"]


def test_base64_of_other_kinds_is_read(service):
    data = base64.b64decode(GOOD)
    safe = base64.urlsafe_b64encode(data).decode()
    kinds = [
        f"data:image/png;base64,{GOOD}",
        f"DATA:;BASE64,{safe}",
        safe,
        safe.rstrip("="),
        GOOD.rstrip("="),
        base64.encodebytes(data).decode(),
        base64.encodebytes(data).decode().replace("\n", "\r\n") + " ",
    ]
    for kind in kinds:
        assert read(service, kind) == ([[WORDS]], "")
    scan = odd_pictures.sent(pdfs.scanned([pictures.page()]))
    order = {"data": f"data:application/pdf;base64,{scan}", "pictures": True}
    status, answer = service.predict("ocr_system", {"pdfs": [order]})
    assert status == 200, answer
    assert read(service, answer["pages"][0]["picture"])[0] == [texts(answer["results"][0])]


@pytest.mark.parametrize(
    "garbage",
    ["####" + GOOD, GOOD[:80] + "!" + GOOD[80:], GOOD + "=aa", "data:image/png,abc", "data:;base64",
     "é" + GOOD, GOOD[:41], "https://example.com/a.png", "\ud800"],
)  # fmt: skip
def test_what_is_no_base64_is_said(service, garbage):
    status, answer = service.predict("ocr_system", {"images": [garbage]})
    assert (status, answer["status"], answer["results"]) == (400, "101", ""), answer
    assert "images: not base64" in answer["msg"]


def many_values(kind):
    return {
        "keys": b"{" + b'"":0,' * 300_000 + b'"":0}',
        "numbers": b'{"images": [' + b"0," * 800_000 + b"0]}",
        "strings": b'{"images": [' + b'"",' * 600_000 + b'""]}',
        "objects": b'{"pdfs": [' + b"{}," * 600_000 + b"{}]}",
        "deep": b'{"images": ' + b"[" * 65 + b"]" * 65 + b"}",
        "after an escape": rb'{"a": "\\", "images": [' + b"0," * 800_000 + b"0]}",
    }[kind]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize(
    "kind", ["keys", "numbers", "strings", "objects", "deep", "after an escape"]
)
def test_a_body_of_very_many_values_is_refused(service, kind, encoding):
    body = many_values(kind).decode()
    # The shared service takes 2 MB.
    body = (body[: 1_900_000 // len("x".encode(encoding)[-4:])]) if encoding != "utf-8" else body
    status, answer = service.predict("ocr_system", body.encode(encoding))
    assert (status, answer["status"], answer["results"]) == (400, "101", ""), answer
    assert service.metric("ppocr_worker_memory_bytes") < 1.2e9


def test_bodies_in_other_encodings_are_read(service):
    text = json.dumps({"images": [GOOD, encoded("line.png")]})
    for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-32-be"):
        status, answer = service.predict("ocr_system", text.encode(encoding))
        assert status == 200 and texts(answer["results"][0]) == [WORDS]
    # As PHP sends it: every slash escaped.
    status, answer = service.predict("ocr_system", text.replace("/", r"\/").encode())
    assert status == 200 and texts(answer["results"][0]) == [WORDS]


def test_large_pictures_fit_a_small_container(start):
    service = start(memory="700m").ready()
    bodies = [[pictures.huge_png(7000, 7000)] * 4] * 3 + [[GOOD]] * 3
    with ThreadPoolExecutor(len(bodies)) as clients:
        waiting = [
            clients.submit(service.predict, "ocr_system", {"images": body}) for body in bodies
        ]
        answers = [answer.result() for answer in waiting]
    for status, answer in answers[:3]:
        assert status in (200, 413, 503), answer
        assert status == 200 or "hubserving_memory_limit" in answer["msg"]
    for status, answer in answers[3:]:
        assert status == 200 and texts(answer["results"][0]) == [WORDS]
    # One that could never have the memory it takes leaves the others alone.
    colour = io.BytesIO()
    Image.new("RGB", (7000, 7000)).save(colour, "WEBP", lossless=True)
    (none, found), said = read(service, odd_pictures.sent(colour.getvalue()), GOOD)
    assert none == [] and found == [WORDS] and "hubserving_memory_limit" in said
    assert service.metric('ppocr_worker_restarts_total{reason="lost"}') == 0
