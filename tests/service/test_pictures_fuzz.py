"""Pictures put together by chance: heads that disagree, sizes, orientation, alpha, damage.

Whatever is sent: no 5xx, no worker lost, memory bounded, and a good picture of the same request and
a good request beside it are read right.
"""

import base64
import io
import struct
from concurrent.futures import ThreadPoolExecutor

import odd_pictures
import pictures
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

GOOD = pictures.saved(pictures.page(), "PNG")
WORDS = pictures.TEXT.replace(" ", "")
#: Modes each format stores as they are.
MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "JPEG": ("L", "RGB", "CMYK"),
    "WEBP": ("RGB", "RGBA"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"),
    "GIF": ("L", "P"),
    "BMP": ("1", "L", "P", "RGB", "RGBA"),
    "PPM": ("1", "L", "RGB"),
}
WITH_EXIF = ("JPEG", "PNG", "WEBP", "TIFF")
SIDES = st.integers(1, 300) | st.sampled_from([1, 2, 31, 32, 33, 959, 961, 1999, 4097])
EDGES = (0, 1, 0x7F, 0x80, 0xFF)
_AREA = 60_000  # pixels: the service takes 2 MB
FUZZ = settings(
    max_examples=45,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Sent(str):
    """Base64 of a file, shown by its first bytes."""

    def __repr__(self):
        return f"{self[:200]!r}... ({len(self)})"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """One of its own: what the pages of other tests left in memory is no harm done here."""
    from conftest import small_service

    with small_service(tmp_path_factory) as own:
        yield own


@st.composite
def legible(draw):
    """A picture with the known text: any format, mode, orientation, ink and number of frames."""
    kind = draw(st.sampled_from(sorted(MODES)))
    mode = draw(st.sampled_from(MODES[kind]))
    options = {}
    if mode in ("LA", "RGBA") and kind != "BMP" and draw(st.booleans()):
        ink = draw(st.sampled_from(["black", "white", "#203040", "#f0e080"]))
        under = draw(st.sampled_from([(0, 0, 0), (255, 255, 255), (90, 90, 90)]))
        return Sent(odd_pictures.on_nothing(kind, ink, mode, under))
    picture = pictures.page(mode)
    if kind in WITH_EXIF:
        exif = Image.Exif()
        exif[0x0112] = orientation = draw(st.integers(1, 8))
        turn = odd_pictures.TURNS[orientation]
        # Pillow cannot turn 16 bits in every way.
        if mode != "I;16" and turn is not None:
            picture, options["exif"] = picture.transpose(turn), exif
    if kind in ("TIFF", "GIF") and mode != "I;16" and draw(st.booleans()):
        options |= {"save_all": True, "append_images": [picture.copy()] * draw(st.integers(1, 3))}
    if kind == "TIFF":
        options["compression"] = draw(st.sampled_from([None, "tiff_lzw", "tiff_adobe_deflate"]))
    if kind == "JPEG":
        options["progressive"] = draw(st.booleans())
    return Sent(pictures.saved(picture, kind, **options))


@st.composite
def lying(draw):
    """A file of which some bytes of the head are others: sizes, kinds, lengths, offsets."""
    kind = draw(st.sampled_from(sorted(MODES)))
    mode = draw(st.sampled_from(MODES[kind]))
    data = bytearray(base64.b64decode(pictures.saved(pictures.page(mode), kind)))
    # The directory of a TIFF may be at its end.
    head = struct.unpack_from("<L", data, 4)[0] if kind == "TIFF" else 0
    for place in draw(st.lists(st.integers(0, 160), min_size=1, max_size=6)):
        if head + place < len(data):
            data[head + place] = draw(st.sampled_from(EDGES) | st.integers(0, 255))
    cut = draw(st.integers(1, len(data)) | st.just(len(data)))
    return Sent(odd_pictures.sent(bytes(data[:cut])))


@st.composite
def of_any_size(draw):
    """An empty or noisy picture of any shape."""
    kind = draw(st.sampled_from(sorted(MODES)))
    mode = draw(st.sampled_from([mode for mode in MODES[kind] if mode != "I;16"]))
    size = draw(SIDES), draw(SIDES)
    size = size[0], min(size[1], _AREA // size[0])
    dice = draw(st.randoms(use_true_random=False))
    grain = Image.frombytes("L", (16, 16), dice.randbytes(256)).resize(size)
    buffer = io.BytesIO()
    (grain if mode == "L" else grain.convert("RGB").convert(mode)).save(buffer, kind)
    return Sent(odd_pictures.sent(buffer.getvalue()))


def texts(lines):
    return "".join(line["text"] for line in lines).replace(" ", "")


def ask(service, *images):
    status, answer = service.predict("ocr_system", {"images": list(images)})
    assert set(answer) == {"status", "msg", "results"}
    return status, answer


def is_unharmed(service):
    assert service.metric('ppocr_worker_restarts_total{reason="lost"}') == 0
    assert service.metric("ppocr_worker_memory_bytes") < 1.2e9


@FUZZ
@given(picture=legible())
def test_what_can_be_read_is_read(service, picture):
    status, answer = ask(service, picture)
    assert status == 200 and texts(answer["results"][0]) == WORDS, answer


@FUZZ
@given(odd=st.lists(lying() | of_any_size(), min_size=1, max_size=3))
def test_odd_pictures_harm_nobody(service, odd):
    with ThreadPoolExecutor(1) as other:
        beside = other.submit(ask, service, GOOD)
        status, answer = ask(service, *odd, GOOD)
        assert status == 200 and answer["status"] == "000", answer
        assert texts(answer["results"][-1]) == WORDS
        assert "the service failed" not in answer["msg"]
        status, answer = beside.result()
    assert status == 200 and texts(answer["results"][0]) == WORDS, answer
    is_unharmed(service)


@FUZZ
@given(odd=lying() | of_any_size(), module=st.sampled_from(["ocr_det", "ocr_cls", "ocr_rec"]))
def test_other_modules_take_them_too(service, odd, module):
    status, answer = service.predict(module, {"images": [GOOD, odd]})
    assert status == 200 and answer["status"] == "000", answer
    assert "the service failed" not in answer["msg"]
    is_unharmed(service)
