"""From an image file to pixels.

Pillow reads the head and decodes: the size that is checked is the size it allocates. Its pixels of
JPEG and PNG are those of stock's OpenCV, bit by bit; grey, palette and CMYK become colour, of 16
bits the upper 8 are kept. Beyond stock, transparent parts get a ground, and EXIF orientation
counts in every format.
"""

from __future__ import annotations

import io
import re
import warnings
from typing import Any

import cv2
import numpy as np
from PIL import ExifTags, Image, TiffImagePlugin, WebPImagePlugin

from ..files import FILES, MAX_SIDE
from ..report import RequestError
from . import frames, ifd
from .background import on_background

#: What is read; everything else is refused by name.
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "PPM")

# Pillow knows the others by itself; asking it to learn all it can would load forty more.
assert TiffImagePlugin and WebPImagePlugin
Image.preinit()
# Our own check comes before any decoding; Pillow's would only warn.
Image.MAX_IMAGE_PIXELS = None
ifd.bound()
# What Pillow thinks of a client's file goes to the client, not into the log.
warnings.filterwarnings("ignore", module=r"PIL\.")

_DAMAGED = "the image is damaged, or of a kind this service does not read"
#: Scans of a progressive JPEG, each of which costs a pass over the picture; encoders write a dozen.
_MOST_SCANS = 100
_MOST_SEGMENTS = 10_000
#: Bytes between the segments of a JPEG's head: filling, which Pillow reads byte by byte.
_MOST_BETWEEN = 100_000
#: Chunks of a PNG, which encoders fill with 4 kB and more; and its colour profiles, which a PNG has
#: one of: each may unpack to a megabyte.
_MOST_CHUNKS = 100_000
_MOST_PROFILES = 10
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
#: PNM files that hold their values as text, and how many comments such a file may have: each costs
#: Pillow a copy of up to a megabyte. Programs write one.
_PLAIN = (b"P1", b"P2", b"P3")
_MOST_COMMENTS = 100
#: A byte 0xFF that begins a marker: not one of the picture's own data, a restart, or filling.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd8\xff\x01]")
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
#: Bytes a pixel that decoders take beside Pillow's own picture: frames, strips, a second copy.
_DECODER = {"WEBP": 16, "TIFF": 8, "GIF": 4}
_PROGRESSIVE = 6
_GROUND = 6
#: A picture that is turned upright is there twice for a moment, beside one grey byte of Pillow's.
_TURNED = 8
_OF_MODE = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}
_STRIP = 256  # rows converted at a time

#: What puts a picture right, by its EXIF orientation.
_TURNS = {
    2: lambda image: cv2.flip(image, 1),
    3: lambda image: cv2.rotate(image, cv2.ROTATE_180),
    4: lambda image: cv2.flip(image, 0),
    5: lambda image: cv2.transpose(image),
    6: lambda image: cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE),
    7: lambda image: cv2.rotate(cv2.transpose(image), cv2.ROTATE_180),
    8: lambda image: cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE),
}


def unreadable(message: str, http: int = 422) -> RequestError:
    """A refusal of one picture."""
    return RequestError(message, "pixels" if http == 413 else "image", http)


class Picture:
    """An image file whose head has been read.

    Attributes:
        width, height: pixels, before the picture is turned upright.
        cost: bytes that decoding it takes at most, its pixels among them.
        frames: pictures in the file; :meth:`pixels` gives the first.

    Raises:
        RequestError: no image, or one of more than ``pixels_limit`` pixels.
    """

    def __init__(self, data: bytes, pixels_limit: int) -> None:
        self._image = _opened(data)
        self.width, self.height = self._image.size
        largest = max(self.width * self.height, _tile(self._image))
        if largest > pixels_limit or max(self.width, self.height) > MAX_SIDE:
            stored = "" if largest == self.width * self.height else f" in tiles of {largest}"
            raise unreadable(
                f"{self.width} x {self.height} pixels{stored} are more than the "
                f"{pixels_limit // 1_000_000} million allowed (hubserving_pixels_limit), or a side "
                f"is longer than {MAX_SIDE}",
                413,
            )
        self.frames = frames.count(self._image, data)
        each = 3 + _OF_MODE.get(self._image.mode, 4) + _DECODER.get(self._image.format or "", 0)
        if "progressive" in self._image.info:
            each += _PROGRESSIVE
        if self._image.has_transparency_data:
            each += _GROUND
        if self._image.format != "TIFF":
            each = max(each, _TURNED)
        self.cost = largest * each

    def pixels(self) -> np.ndarray:
        """Decode: BGR, uint8 (H, W, 3), upright. To be called once.

        Raises:
            RequestError: the file is damaged.
        """
        image, self._image = self._image, None  # type: ignore[assignment]
        try:
            image.load()
            # Of TIFF Pillow has turned it already.
            orientation = 1 if image.format == "TIFF" else _orientation(image)
            decoded = _bgr(image)
        except MemoryError:
            raise
        except Exception as error:  # whatever a decoder makes of a damaged file
            raise unreadable(_DAMAGED) from error
        del image  # before the turned one is made beside it
        turn = _TURNS.get(orientation)
        return decoded if turn is None else np.ascontiguousarray(turn(decoded))


def _opened(data: bytes) -> Image.Image:
    _refuse_endless(data)
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except Exception as error:  # Pillow's parsers raise whatever they meet
        if data.startswith(b"%PDF"):
            raise unreadable("a PDF goes in pdfs, not in images") from error
        if data.startswith(FILES):
            raise unreadable(_DAMAGED) from error
        known = "PNG, JPEG, BMP, TIFF, WebP, GIF, PPM"
        raise unreadable(f"not an image of a format this service reads ({known})") from error


def _refuse_endless(data: bytes) -> None:
    """Refuse a file whose head alone would take Pillow minutes to read."""
    if data.startswith(_JPEG) and _scans(data) > _MOST_SCANS:
        raise unreadable(
            f"a JPEG of more than {_MOST_SCANS} scans, or of very many segments, is not read"
        )
    if data.startswith(_PNG) and _is_endless_png(data):
        raise unreadable("a PNG of very many chunks or colour profiles is not read")
    if data.startswith(_PLAIN) and data.count(b"#") > _MOST_COMMENTS:
        raise unreadable(f"a PPM of more than {_MOST_COMMENTS} comments is not read")


def _is_endless_png(data: bytes) -> bool:
    place, profiles = len(_PNG), 0
    for _ in range(_MOST_CHUNKS):
        head = data[place : place + 8]
        if len(head) < 8:
            return False
        profiles += head[4:] == b"iCCP"
        if profiles > _MOST_PROFILES:
            return True
        place += 12 + int.from_bytes(head[:4], "big")
    return True


def _scans(data: bytes) -> int:
    """Scans of the first picture of a JPEG file; more than are read where its segments are endless.

    What follows that picture (a film, another picture) is not looked at.

    Raises:
        RequestError: there is very much between the segments of its head.
    """
    place, scans, between = 2, 0, 0
    for _ in range(_MOST_SEGMENTS):
        marker = _MARKER.search(data, place)
        if not scans:
            between += (marker.start() if marker else len(data)) - place
        if between > _MOST_BETWEEN:
            raise unreadable(_DAMAGED)
        if marker is None or data[marker.start() + 1] == _END_OF_IMAGE:
            return scans
        scans += data[marker.start() + 1] == _START_OF_SCAN
        size = int.from_bytes(data[marker.end() : marker.end() + 2], "big")
        place = marker.end() + max(size, 2)
    return _MOST_SCANS + 1


def _tile(image: Image.Image) -> int:
    """Pixels of a tile of a TIFF, which may be larger than the picture; else 0."""
    tags = getattr(image, "tag_v2", {})
    try:
        return int(tags.get(322, 0)) * int(tags.get(323, 0))
    except (TypeError, ValueError) as error:
        raise unreadable(_DAMAGED) from error


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 where the file has none, or none that makes sense."""
    # A program that turned the picture without minding XMP is more likely than one that says it
    # there alone; OpenCV does not look at it either.
    for key in ("xmp", "XML:com.adobe.xmp"):
        image.info.pop(key, None)
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged EXIF data is no reason not to read the picture
        return 1
    return value if isinstance(value, int) else 1


def _bgr(image: Image.Image) -> np.ndarray:
    """A decoded picture as BGR, uint8, on a ground where it is transparent."""
    if image.mode == "I;16B":  # of which Pillow does not tell the extrema
        image = image.convert("I")
    width, height = image.size
    result = np.empty((height, width, 3), np.uint8)
    alpha = np.empty((height, width), np.uint8) if image.has_transparency_data else None
    colour = image.info.get("transparency")
    if isinstance(colour, tuple) and image.mode == "RGB" and max(colour) > 255:
        image.info["transparency"] = tuple(value >> 8 for value in colour)  # as the pixels are
    highest: Any = image.getextrema()[1] if image.mode[0] == "I" else 0
    shift = 8 if highest > 255 else 0
    # By strips: a whole picture converted would be there three times.
    for top in range(0, height, _STRIP):
        rows = slice(top, min(top + _STRIP, height))
        strip = image.crop((0, rows.start, width, rows.stop))
        if image.mode[0] in "IF":
            values = np.nan_to_num(np.asarray(strip))
            result[rows] = (
                np.clip(values, 0, (256 << shift) - 1).astype(np.uint16)[..., None] >> shift
            )
            if alpha is not None:
                alpha[rows] = np.where(values == colour, 0, 255)
        elif alpha is not None:
            # Multiplied alpha is divided again by the conversion.
            whole = strip.convert("LA") if image.mode == "La" else strip
            converted = np.asarray(whole.convert("RGBA"))
            result[rows], alpha[rows] = converted[:, :, 2::-1], converted[:, :, 3]
        else:
            result[rows] = np.asarray(strip.convert("RGB"))[:, :, ::-1]
    return result if alpha is None else on_background(result, alpha)
