"""Pictures as files: heads, frames, grounds; base64; bounds of directories of tags."""

import base64
import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image
from ppocr_serving.files import from_base64
from ppocr_serving.pipeline import frames
from ppocr_serving.pipeline.background import on_background
from ppocr_serving.pipeline.picture import Picture
from ppocr_serving.report import RequestError

LIMIT = 1_000_000


def saved(picture, kind, **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(size=(40, 30), mode="RGB"):
    dice = np.random.default_rng(3)
    return Image.fromarray(dice.integers(0, 256, (size[1], size[0], 3), np.uint8)).convert(mode)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
def test_pixels_are_those_of_the_file(kind, mode):
    picture = noise(mode=mode)
    expected = np.asarray(picture.convert("RGB"))[:, :, ::-1]
    np.testing.assert_array_equal(Picture(saved(picture, kind), LIMIT).pixels(), expected)


@pytest.mark.parametrize("size", [(1, 1), (3, 255), (7, 256), (2, 257), (5, 700)])
def test_strips_meet(size):
    expected = np.asarray(noise(size))[:, :, ::-1]
    np.testing.assert_array_equal(Picture(saved(noise(size), "PNG"), LIMIT).pixels(), expected)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_jpegs_are_decoded_as_opencv_does(options):
    import cv2

    data = saved(noise((99, 77)), "JPEG", quality=80, **options)
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(Picture(data, LIMIT).pixels(), expected)


def test_of_sixteen_bits_the_upper_eight_are_kept():
    values = np.arange(0, 65536, 13, np.uint16)[:5000].reshape(50, 100)
    # A TIFF of either byte order: scanners and Photoshop on a Mac write the big-endian one.
    for kind, order in (("PNG", "<u2"), ("TIFF", "<u2"), ("TIFF", ">u2")):
        pixels = Picture(saved(Image.fromarray(values.astype(order)), kind), LIMIT).pixels()
        np.testing.assert_array_equal(pixels[:, :, 1], values >> 8)


def test_the_size_and_the_cost_are_known_before_decoding():
    picture = Picture(saved(noise((100, 50)), "PNG"), LIMIT)
    assert (picture.width, picture.height, picture.frames) == (100, 50, 1)
    assert picture.cost >= 100 * 50 * 7
    webp = Picture(saved(noise((100, 50)), "WEBP"), LIMIT)
    assert webp.cost > picture.cost
    with pytest.raises(RequestError, match="100 x 50") as refused:
        Picture(saved(noise((100, 50)), "PNG"), 4999)
    assert refused.value.http == 413


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "WEBP", "PNG"])
@pytest.mark.parametrize("number", [1, 2, 7])
def test_frames_are_counted(kind, number):
    pages = [Image.new("RGB", (16, 16), (30 * page, 0, 0)) for page in range(number)]
    data = saved(pages[0], kind, save_all=True, append_images=pages[1:])
    assert Picture(data, LIMIT).frames == number


def test_smaller_copies_of_a_page_are_no_pages():
    pages = [noise(), noise((20, 15)), noise()]
    kinds = [{}, {254: 1}, {}]
    buffer = io.BytesIO()
    from PIL.TiffImagePlugin import AppendingTiffWriter

    with AppendingTiffWriter(buffer) as writer:
        for page, tags in zip(pages, kinds, strict=True):
            page.save(writer, "TIFF", tiffinfo=tags)
            writer.newFrame()
    assert Picture(buffer.getvalue(), LIMIT).frames == 2


def test_a_chain_of_pages_that_never_ends_is_left():
    data = bytearray(saved(noise(), "TIFF"))
    (place,) = struct.unpack_from("<L", data, 4)
    (entries,) = struct.unpack_from("<H", data, place)
    struct.pack_into("<L", data, place + 2 + 12 * entries, place)  # the next page is this one
    assert frames.count(Image.open(io.BytesIO(data)), bytes(data)) == 1


@pytest.mark.parametrize(
    ("ink", "ground"), [(0, 255), (255, 0), (60, 255), (200, 0), (120, 255), ((0, 255), 128)]
)
def test_the_ground_is_what_the_text_stands_out_from(ink, ground):
    image = np.full((60, 200, 3), 77, np.uint8)
    alpha = np.zeros((60, 200), np.uint8)
    inks = ink if isinstance(ink, tuple) else (ink, ink)
    for number in range(10):
        place = slice(number * 20 + 4, number * 20 + 9)
        image[20:40, place] = inks[number % 2]
        alpha[20:40, place] = 255
    on_background(image, alpha)
    assert (image[0] == ground).all() and image[30, 5, 0] == inks[0]


def test_a_card_with_text_on_it_and_beside_it_stays_legible():
    image = np.zeros((100, 300, 3), np.uint8)
    alpha = np.zeros((100, 300), np.uint8)
    image[10:90, 10:150], alpha[10:90, 10:150] = 255, 255  # white, with black text on it
    image[40:60, 20:140] = 0
    for x in range(160, 290, 6):
        alpha[20:80, x : x + 3] = 255  # black text beside it
    on_background(image, alpha)
    assert image[0, 0, 0] > 100 and (image[40:60, 20:140] == 0).all()


def test_without_transparency_nothing_changes():
    image = np.asarray(noise()).copy()
    before = image.copy()
    on_background(image, np.full(image.shape[:2], 255, np.uint8))
    np.testing.assert_array_equal(image, before)
    on_background(image, np.zeros(image.shape[:2], np.uint8))  # some programs leave alpha at zero
    np.testing.assert_array_equal(image, before)


def exif_of(entries, size=60_000):
    """EXIF data whose tags share their bytes."""
    tags = b"".join(struct.pack("<HHLL", 0x9000 + n, 7, size, 8) for n in range(entries))
    head = b"II*\x00" + struct.pack("<LH", 8, entries)
    return b"Exif\x00\x00" + (head + tags + bytes(4)).ljust(size + 8, b"\x00")


def test_exif_that_unpacks_to_much_more_is_left_alone(monkeypatch):
    from PIL import ImageFile

    taken = []
    read = ImageFile._safe_read
    monkeypatch.setattr(ImageFile, "_safe_read", lambda f, n: taken.append(n) or read(f, n))
    for kind in ("JPEG", "PNG", "WEBP"):
        picture = Picture(saved(noise(), kind, exif=exif_of(3000)), LIMIT)
        assert picture.pixels().shape == (30, 40, 3)
    assert sum(taken) < 3_000_000


FILE = saved(noise(), "PNG")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        lambda text: "\n".join(text[start : start + 76] for start in range(0, len(text), 76)),
        lambda text: text.replace("+", "-").replace("/", "_"),
        lambda text: text.replace("+", "-").replace("/", "_").rstrip("="),
        lambda text: text.rstrip("="),
        lambda text: f"  {text}\r\n",
        lambda text: f"data:image/png;base64,{text}",
        lambda text: f"data:image/png;charset=x;BASE64,{text.replace('=', '%3D')}",
        lambda text: text + "==",
    ],
    ids=range(9),
)
@pytest.mark.parametrize("extra", [0, 1, 2])
def test_base64_is_read_in_its_kinds(change, extra):
    data = FILE + b"\xfb\xef\xff\xfe"[: extra + 1]
    assert from_base64(change(base64.b64encode(data).decode())) == data


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("aGVsbG8", "cut off"), ("a", "base64"), ("####", "base64"), ("aGVs#bG8=", "base64"),
        ("é", "ASCII"), ("aGVsbG8=aGVs", "base64"), ("data:image/png,x", "data: URL"),
        ("data:image/png;base64", "data: URL"), ("data:", "data: URL"),
        ("http://x/y.png", "base64"),
        (7, "string"), (None, "string"), (b"aGVs", "string"),
    ],
)  # fmt: skip
def test_what_is_no_base64_is_named(text, words):
    with pytest.raises(RequestError, match=words) as refused:
        from_base64(text, "pdfs")
    assert refused.value.http == 400 and str(refused.value).startswith("pdfs: ")


def test_a_film_behind_a_photo_is_no_scan_of_it():
    photo = saved(noise((64, 48)), "JPEG")
    assert Picture(photo + b"\xff\xda\x00\x02" * 200, LIMIT).pixels().shape == (48, 64, 3)
    start = photo.index(b"\xff\xda")
    for many, said in (
        (b"\xff\xda\x00\x02" * 200, "scans"),
        (b"\xff\xfe\x00\x02" * 20_000, "segments"),
        (b"\xff" * 200_000, "damaged"),
    ):
        with pytest.raises(RequestError, match=said):
            Picture(photo[:start] + many + photo[start:], LIMIT)


@pytest.mark.parametrize(("kind", "most"), [("iCCP", 10), ("teSt", 99_000)])
def test_a_png_has_one_profile_and_not_very_many_chunks(kind, most):
    whole = saved(noise(), "PNG")
    chunk = struct.pack(">I4sI", 0, kind.encode(), zlib.crc32(kind.encode()))
    with pytest.raises(RequestError, match="chunks or colour profiles"):
        Picture(whole[:33] + chunk * (most + 2000) + whole[33:], LIMIT)
    few = Picture(whole[:33] + chunk * (most // 1000) + whole[33:], LIMIT)
    assert few.pixels().shape == (30, 40, 3)


def test_a_plain_ppm_has_few_comments():
    for kind, values in (("P2 2 2 255", b"1 2 3 4"), ("P1 2 2", b"1 0 1 0")):
        said = [kind.encode() + b"\n" + b"# comment\n" * number + values for number in (3, 101)]
        assert Picture(said[0], LIMIT).pixels().shape == (2, 2, 3)
        with pytest.raises(RequestError, match="comments"):
            Picture(said[1], LIMIT)


def test_a_tiff_is_not_stored_in_very_many_pieces():
    def of(pieces):
        offsets = 8 + 2 * pieces
        tags = {256: 64, 257: 64, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1}
        body = b"".join(
            struct.pack("<HHLL", tag, 3, pieces, 8)
            if tag == 273
            else struct.pack("<HHLL", tag, 4, 1, value)
            for tag, value in tags.items()
        )
        head = struct.pack("<2sHL", b"II", 42, offsets) + struct.pack("<H", 8) * pieces
        return head + struct.pack("<H", len(tags)) + body + bytes(4)

    assert Picture(of(64), LIMIT).pixels().shape == (64, 64, 3)
    with pytest.raises(RequestError, match="damaged"):
        Picture(of(210_000), LIMIT)


def test_a_directory_beyond_every_file_ends_the_count():
    head = b"II" + struct.pack("<HHHQ", 43, 8, 0, 16)
    assert frames._tiff(head + struct.pack("<QQ", 0, 2**64 - 1)) == 1
    assert frames._tiff(head + struct.pack("<Q", 2**64 - 1)) == 1


def test_a_picture_that_is_hardly_transparent_takes_what_it_says():
    picture = Image.new("RGBA", (1500, 1500), (10, 20, 30, 255))
    picture.putpixel((0, 0), (0, 0, 0, 254))
    opened = Picture(saved(picture, "PNG"), 50_000_000)
    tracemalloc.start()
    try:
        opened.pixels()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < opened.cost + 30_000_000  # as floating-point numbers: a million pixels at most
