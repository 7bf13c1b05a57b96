"""Pictures in every format a client may send, and some no client should."""

import base64
import io
import struct
import zlib

from PIL import Image, ImageDraw, ImageFont

TEXT = "SAMPLE 24687"


def page(mode="RGB", size=(480, 120), text=TEXT):
    """A picture with one line of text."""
    picture = Image.new("RGB", size, "white")
    ImageDraw.Draw(picture).text((20, 35), text, "black", ImageFont.load_default(44))
    if mode == "I;16":
        return Image.frombytes(
            "I;16",
            size,
            b"".join(struct.pack("<H", v * 257) for v in picture.convert("L").tobytes()),
        )
    return picture.convert(mode)


def saved(picture, kind, **options):
    """Base64 of the picture in a file format."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return base64.b64encode(buffer.getvalue()).decode()


def turned(orientation):
    """A JPEG stored sideways, with the EXIF orientation that puts it right."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    turn = {3: 180, 6: 90, 8: 270}[orientation]
    return saved(page().rotate(turn, expand=True), "JPEG", exif=exif)


def readable():
    """Name to base64 of pictures that must be read."""
    frames = [page("P"), Image.new("P", (480, 120))]
    return {
        "png": saved(page(), "PNG"),
        "grey": saved(page("L"), "PNG"),
        "16 bits": saved(page("I;16"), "PNG"),
        "alpha": saved(page("RGBA"), "PNG"),
        "palette": saved(page("P"), "PNG"),
        "bilevel": saved(page("1"), "PNG"),
        "jpeg": saved(page(), "JPEG", quality=90),
        "16 bits, tiff": saved(page("I;16"), "TIFF"),
        "cmyk tiff": saved(page("CMYK"), "TIFF", compression="tiff_lzw"),
        "cmyk jpeg": saved(page("CMYK"), "JPEG", quality=95),
        "exif 3": turned(3),
        "exif 6": turned(6),
        "exif 8": turned(8),
        "bmp": saved(page(), "BMP"),
        "tiff": saved(page(), "TIFF", compression="tiff_lzw"),
        "webp": saved(page(), "WEBP"),
        "gif, first frame": saved(frames[0], "GIF", save_all=True, append_images=frames[1:]),
    }


def huge_png(width, height):
    """A small file that says it is a large picture, and truly unpacks to one."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width // 8 + 1) * height), 9)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return base64.b64encode(png).decode()


def unreadable():
    """Name to base64 of what is no picture, or a damaged one."""
    png = base64.b64decode(saved(page(), "PNG"))
    return {
        "text": base64.b64encode(b"no image at all").decode(),
        "nothing": "",
        "head of a png": base64.b64encode(png[:60]).decode(),
        "svg": base64.b64encode(b"<svg xmlns='http://www.w3.org/2000/svg'/>").decode(),
        "ico": base64.b64encode(b"\x00\x00\x01\x00\x01\x00\x10\x10").decode(),
    }
