"""PDF files for tests: some to be read, some made to do harm."""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Sequence

from PIL import Image

#: What the PDF standard pads passwords with.
_PADDING = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")
_A4 = (595, 842)  # points


def scanned(pictures: Sequence[Image.Image], dpi: float = 72.0) -> bytes:
    """Pictures as pages."""
    buffer = io.BytesIO()
    first, *rest = pictures
    first.save(buffer, "PDF", save_all=True, append_images=rest, resolution=dpi)
    return buffer.getvalue()


def _written(objects: Sequence[bytes], trailer: bytes = b"") -> bytes:
    """A file of these objects, numbered from 1; the first is the catalog."""
    data, places = b"%PDF-1.7\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(data)
    data += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    data += b"".join(b"%010d 00000 n \n" % place for place in places)
    size = b"<</Size %d /Root 1 0 R %s>>" % (len(objects) + 1, trailer)
    return data + b"trailer\n%s\nstartxref\n%d\n%%%%EOF\n" % (size, start)


def _stream(content: bytes, keys: bytes = b"") -> bytes:
    return b"<</Length %d %s>>\nstream\n%s\nendstream" % (len(content), keys, content)


def one_page(
    contents: bytes, size: tuple[float, float] = _A4, resources: bytes = b"", *more: bytes
) -> bytes:
    """A page with a content stream; ``more`` objects have numbers from 5."""
    page = b"<</Type /Page /Parent 2 0 R /MediaBox [0 0 %f %f] /Contents 4 0 R /Resources <<%s>>>>"
    return _written(
        [
            b"<</Type /Catalog /Pages 2 0 R>>",
            b"<</Type /Pages /Count 1 /Kids [3 0 R]>>",
            page % (*size, resources),
            contents,
            *more,
        ]
    )


def written(text: str, size: tuple[float, float] = _A4) -> bytes:
    """A page with a line of text in Helvetica, as a word processor writes it."""
    font = b"/Font <</F <</Type /Font /Subtype /Type1 /BaseFont /Helvetica>>>>"
    line = b"BT /F 40 Tf 60 %f Td (%s) Tj ET" % (size[1] - 90, text.encode("ascii"))
    return one_page(_stream(line), size, font)


def many(count: int) -> bytes:
    """That many empty pages."""
    kids = b" ".join(b"%d 0 R" % number for number in range(3, count + 3))
    page = b"<</Type /Page /Parent 2 0 R /MediaBox [0 0 200 100]>>"
    return _written(
        [
            b"<</Type /Catalog /Pages 2 0 R>>",
            b"<</Type /Pages /Count %d /Kids [%s]>>" % (count, kids),
            *[page] * count,
        ]
    )


def flate_bomb(megabytes: int) -> bytes:
    """Twice packed: a small file whose page's content unpacks to that much."""
    packer, block = zlib.compressobj(9), b" " * 1_000_000
    first, again = (packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    # After a full flush each block is packed to the same bytes.
    packed = zlib.compress(first + again * (megabytes - 1), 9)
    return one_page(_stream(packed, b"/Filter [/FlateDecode /FlateDecode]"))


def laughing(levels: int = 9) -> bytes:
    """Forms that draw forms ten times over: a kilobyte that asks for 10 ** levels drawings."""
    forms = []
    for number in range(5, 5 + levels):
        deeper = b"/Resources <</XObject <</X %d 0 R>>>>" % (number + 1)
        forms.append(
            _stream(b"/X Do " * 10, b"/Type /XObject /Subtype /Form /BBox [0 0 500 500] " + deeper)
        )
    forms.append(_stream(b"0 0 400 400 re f", b"/Type /XObject /Subtype /Form /BBox [0 0 500 500]"))
    return one_page(_stream(b"/X Do"), _A4, b"/XObject <</X 5 0 R>>", *forms)


def _rc4(key: bytes, data: bytes) -> bytes:
    state, j = list(range(256)), 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    out, i, j = bytearray(), 0, 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)


def locked(password: bytes = b"secret") -> bytes:
    """A page that asks for a password (standard handler, revision 2)."""
    identity, rights = b"0123456789abcdef", -4
    padded = (password + _PADDING)[:32]
    owner = _rc4(hashlib.md5(padded, usedforsecurity=False).digest()[:5], padded)
    seed = padded + owner + rights.to_bytes(4, "little", signed=True) + identity
    user = _rc4(hashlib.md5(seed, usedforsecurity=False).digest()[:5], _PADDING)
    encrypt = b"/Encrypt <</Filter /Standard /V 1 /R 2 /O <%s> /U <%s> /P %d>> /ID [<%s> <%s>]" % (
        owner.hex().encode(), user.hex().encode(), rights,
        identity.hex().encode(), identity.hex().encode(),
    )  # fmt: skip
    page = b"<</Type /Page /Parent 2 0 R /MediaBox [0 0 200 100]>>"
    pages = b"<</Type /Pages /Count 1 /Kids [3 0 R]>>"
    return _written([b"<</Type /Catalog /Pages 2 0 R>>", pages, page], encrypt)


def hostile() -> dict[str, tuple[bytes, int, str]]:
    """Name to file, HTTP status, and words of the answer."""
    whole = written("CUT OFF")
    return {
        "no pdf": (b"no pdf at all", 422, "damaged"),
        "nothing": (b"", 422, "damaged"),
        "head only": (whole[:40], 422, "damaged"),
        "no pages": (many(0), 422, "damaged"),
        "locked": (locked(), 422, "password"),
        "too many pages": (many(3000), 413, "hubserving_pdf_pages_limit"),
        "a huge page": (written("X", (1e9, 1e9)), 413, "hubserving_pixels_limit"),
        "a long page": (written("X", (9e6, 1)), 413, "hubserving_pixels_limit"),
    }
