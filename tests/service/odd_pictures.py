"""Pictures that lie about their size or hide what is in them, and drawn ones with their texts."""

import base64
import struct
import zlib

import numpy as np
import pictures
from PIL import Image, ImageDraw, ImageFont

from smoke_tests.draw_samples import CHINESE_FONTS, find_font

TURNS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
LOSSLESS = {"PNG": {}, "WEBP": {"lossless": True}, "TIFF": {}, "GIF": {}}


def sent(data):
    return base64.b64encode(data).decode()


def rows(size, places, mode="RGB", font=30):
    """A picture with a line of text at each place, and the lines in order."""
    picture = Image.new(mode, size, "white")
    texts = [f"A{number:03}{number * 7919 % 9000 + 1000}" for number in range(len(places))]
    for place, text in zip(places, texts, strict=True):
        ImageDraw.Draw(picture).text(place, text, "black", ImageFont.load_default(font))
    return picture, texts


def turned(kind, orientation):
    """A picture stored turned or mirrored, with the EXIF orientation that puts it right."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    turn = TURNS[orientation]
    picture = pictures.page() if turn is None else pictures.page().transpose(turn)
    return pictures.saved(picture, kind, exif=exif)


def on_nothing(kind, ink="black", mode="RGBA", under=None):
    """Text on a transparent ground, the pixels of which are of the colour ``under``."""
    picture = Image.new("RGBA", (480, 120), (*under, 0) if under else (0, 0, 0, 0))
    ImageDraw.Draw(picture).text((20, 35), pictures.TEXT, ink, ImageFont.load_default(44))
    return pictures.saved(picture.convert(mode), kind, **LOSSLESS[kind])


def on_palette_nothing():
    """The same, as a palette of which one entry is transparent: all of them are black."""
    picture = Image.new("P", (480, 120), 0)
    picture.putpalette([0] * 6)
    ImageDraw.Draw(picture).text((20, 35), pictures.TEXT, 1, ImageFont.load_default(44))
    return pictures.saved(picture, "PNG", transparency=0)


def tiff(*entries, data=b"", endian="<"):
    """A TIFF of one directory; entries are (tag, type, count, value), in the order given."""
    head = (b"II" if endian == "<" else b"MM") + struct.pack(endian + "HL", 42, 8 + len(data))
    packed = b""
    for tag, kind, count, value in entries:
        form, values = ("HH", (value, 0)) if kind == 3 else ("L", (value,))
        packed += struct.pack(endian + "HHL" + form, tag, kind, count, *values)
    return head + data + struct.pack(endian + "H", len(entries)) + packed + bytes(4)


def _grey_tiff(width, height, *more, data=None, rows_a_strip=None):
    data = zlib.compress(bytes(100 * 100)) if data is None else data
    entries = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1),
        (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, rows_a_strip or height), (279, 4, 1, len(data)),
        *more,
    ]  # fmt: skip
    return tiff(*sorted(entries, key=lambda entry: entry[0]), data=data)


def face(size):
    font = str(find_font(CHINESE_FONTS))
    return ImageFont.truetype(font, size, layout_engine=ImageFont.Layout.BASIC)


def tight(text, size, margin=2):
    """One line, cut out so that nothing but so many pixels is left around it."""
    left, top, right, bottom = face(size).getbbox(text)
    picture = Image.new("L", (right - left + 2 * margin, bottom - top + 2 * margin), "white")
    ImageDraw.Draw(picture).text((margin - left, margin - top), text, "black", face(size))
    return picture


def wide(lines, size):
    """Lines as high as a picture ten times as wide as high has room for."""
    width = int(max(face(size).getlength(line) for line in lines)) + size
    picture = Image.new("L", (width, width // 10), "white")
    for row, line in enumerate(lines):
        place = (size // 2, int((row + 0.5) / len(lines) * picture.height))
        ImageDraw.Draw(picture).text(place, line, "black", face(size), anchor="lm")
    return picture


def columns(lines, size=36, step=70):
    """Lines written from top to bottom, the first on the right."""
    longest = max(map(len, lines))
    picture = Image.new("L", (step * len(lines) + 40, int(longest * size * 1.1) + 60), "white")
    for column, line in enumerate(lines):
        left = picture.width - 20 - step * (column + 1) + (step - size) // 2
        for row, character in enumerate(line):
            ImageDraw.Draw(picture).text(
                (left, 30 + row * size * 1.1), character, "black", face(size)
            )
    return picture


def deep_png(picture):
    """A PNG with 16 bits for each of red, green and blue."""
    values = np.asarray(picture.convert("RGB"), np.uint16) * 257
    height, width = values.shape[:2]
    rows_ = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    data = _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(rows_)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def deep_tiff(picture):
    """A TIFF with 16 bits for each of red, green and blue."""
    data = (np.asarray(picture.convert("RGB"), np.uint16) * 257).astype("<u2").tobytes()
    data += struct.pack("<LLL", 16, 16, 16)
    return tiff(
        (256, 4, 1, picture.width), (257, 4, 1, picture.height), (258, 4, 3, 8 + len(data) - 12),
        (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 8), (277, 3, 1, 3), (278, 4, 1, picture.height),
        (279, 4, 1, len(data) - 12), data=data,
    )  # fmt: skip


def _chunk(kind, data):
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def _png_of_two_heads():
    head = struct.pack(">IIBBBBB", 100, 100, 8, 0, 0, 0, 0)
    large = struct.pack(">IIBBBBB", 32000, 32000, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(32001 * 2000), 9)
    heads = _chunk(b"IHDR", head) + _chunk(b"IHDR", large)
    return b"\x89PNG\r\n\x1a\n" + heads + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _frame(width, height):
    """SOF0 of a grey JPEG."""
    return b"\xff\xc0" + struct.pack(">HBHHBBBB", 11, 8, height, width, 1, 1, 0x11, 0)


def _jpeg_of_two_frames(first, second):
    data = base64.b64decode(pictures.saved(pictures.page("L", (100, 100)), "JPEG"))
    place = data.index(b"\xff\xc0")
    return data[:place] + _frame(*first) + _frame(*second) + data[place + 13 :]


def _bmp(width, height):
    head = struct.pack("<LllHHLLllLL", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<LHHL", 54 + 300, 0, 0, 54) + head + bytes(300)


def _webp_of_canvas(side):
    data = base64.b64decode(pictures.saved(pictures.page("RGBA"), "WEBP", lossless=True))
    frame = data[12:]
    canvas = struct.pack("<L", 0x10) + (side - 1).to_bytes(3, "little") * 2
    body = b"WEBP" + b"VP8X" + struct.pack("<L", 10) + canvas + frame
    return b"RIFF" + struct.pack("<L", len(body)) + body


def _gif_frame_beyond(width, height):
    data = bytearray(base64.b64decode(pictures.saved(pictures.page("P", (40, 40)), "GIF")))
    place = data.index(b",", 13 + 3 * 2 ** ((data[10] & 7) + 1))
    data[place + 5 : place + 9] = struct.pack("<HH", width, height)
    return bytes(data)


def _jpeg_of_scans(number):
    data = base64.b64decode(pictures.saved(pictures.page("L"), "JPEG", progressive=True))
    place = data.rindex(b"\xff\xda")
    return data[:place] + data[place:-2] * number + b"\xff\xd9"


def lying():
    """Name to file of pictures whose heads disagree, or say more than is there."""
    many = [(40000 + n, 1, 6000, 8) for n in range(3000)]
    return {
        "tiff, width twice": _grey_tiff(100, 100, (256, 4, 1, 32000), (257, 4, 1, 32000)),
        "tiff, width twice, the large one first": _grey_tiff(
            32000, 32000, (256, 4, 1, 100), (257, 4, 1, 100)
        ),
        "tiff, huge tile": _grey_tiff(
            100, 100, (322, 4, 1, 30000), (323, 4, 1, 30000), (324, 4, 1, 8), (325, 4, 1, 20)
        ),
        "tiff, tile twice": _grey_tiff(
            100, 100, (322, 4, 1, 96), (322, 4, 1, 32000), (323, 4, 1, 96), (323, 4, 1, 32000),
            (324, 4, 1, 8), (325, 4, 1, 20),
        ),
        "tiff, more samples than there are": _grey_tiff(7000, 7000, (338, 3, 1, 0), data=b"x" * 9),
        "tiff, tags that share their bytes": _grey_tiff(100, 100, *many, data=bytes(6000)),
        "tiff, sixty thousand tags": tiff(*[(n, 3, 1, 1) for n in range(300, 60300)]),
        "png, two heads": _png_of_two_heads(),
        "jpeg, two frames": _jpeg_of_two_frames((100, 100), (32000, 32000)),
        "jpeg, two frames, the large one first": _jpeg_of_two_frames((32000, 32000), (100, 100)),
        "jpeg, 300 scans": _jpeg_of_scans(300),
        "bmp, huge height": _bmp(30000, 30000),
        "bmp, huge negative height": _bmp(30000, -30000),
        "bmp, the most negative height": _bmp(1, -(2**31)),
        "webp, huge canvas": _webp_of_canvas(16000),
        "gif, frame beyond the screen": _gif_frame_beyond(60000, 60000),
        "ppm, huge": b"P6 30000 30000 255\n" + bytes(300),
        "ppm, nothing": b"P6 0 10 255\n",
    }  # fmt: skip
