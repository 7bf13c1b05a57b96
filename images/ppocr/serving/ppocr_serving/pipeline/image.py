"""From an image file to pixels, and from a page to the pictures of its lines."""

from __future__ import annotations

import io

import cv2
import numpy as np
from PIL import Image, TiffImagePlugin, WebPImagePlugin
from rapidocr.utils.process_img import get_rotate_crop_image

from ..files import MAX_SIDE
from ..report import RequestError

#: What is read; everything else is refused by name. OpenCV decodes what it can (as in stock: alpha
#: dropped, grey and palette and CMYK to colour, 16 bits to 8, EXIF orientation applied); of GIF,
#: which it does not read, Pillow gives the first frame.
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "PPM")

# Pillow knows the others by itself; asking it to learn all it can would load forty more.
assert TiffImagePlugin and WebPImagePlugin
Image.preinit()
# Our own check comes before any decoding; Pillow's would only warn.
Image.MAX_IMAGE_PIXELS = None


def _unreadable(message: str, http: int = 422) -> RequestError:
    return RequestError(message, "pixels" if http == 413 else "image", http)


def _header(data: bytes) -> Image.Image:
    """The image's head: format and size. Nothing is decoded."""
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except Exception as error:  # Pillow's parsers raise whatever they meet
        if data.startswith(b"%PDF"):
            raise _unreadable("a PDF goes in pdfs, not in images") from error
        known = "PNG, JPEG, BMP, TIFF, WebP, GIF, PPM"
        raise _unreadable(f"not an image of a format this service reads ({known})") from error


def decode_image(data: bytes, pixels_limit: int) -> np.ndarray:
    """Decode an image file to BGR, uint8 (H, W, 3).

    Raises:
        RequestError: no image, a damaged one, or one of more than ``pixels_limit`` pixels.
    """
    head = _header(data)
    width, height = head.size
    if width * height > pixels_limit or max(width, height) > MAX_SIDE:
        raise _unreadable(
            f"{width} x {height} pixels are more than the {pixels_limit // 1_000_000} million "
            "allowed (hubserving_pixels_limit)",
            413,
        )
    image: np.ndarray | None
    try:
        if head.format == "GIF":
            image = np.ascontiguousarray(np.asarray(head.convert("RGB"))[:, :, ::-1])
        else:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except Exception as error:  # whatever a decoder makes of a damaged file
        raise _unreadable("the image is damaged") from error
    if image is None:
        raise _unreadable("the image is damaged, or of a kind this service does not read")
    return image


def crop_line(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The picture of one line, made upright: BGR, uint8 (h, w, 3).

    ``box`` is float32 (4, 2), clockwise from top left, in pixels of ``image``.
    """
    line: np.ndarray = get_rotate_crop_image(image, box.astype(np.float32))
    return line
