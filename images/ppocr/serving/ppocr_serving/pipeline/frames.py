"""How many pictures a file holds, counted without decoding any: only the first one is read."""

from __future__ import annotations

import struct

from PIL import Image

#: Counting stops here, so that no file keeps a thread busy.
MOST = 10_000
_NO_PAGE = 0b101  # NewSubfileType of TIFF: a smaller copy of a page, or its mask


def count(image: Image.Image, data: bytes) -> int:
    """Pages or frames of an opened file, :data:`MOST` at most.

    The smaller copies that TIFF and MPO files have of a picture are no pages.
    """
    if image.format == "TIFF":
        return _tiff(data)
    if image.format == "GIF":
        return _gif(data)
    if image.format in ("PNG", "WEBP"):
        return min(int(getattr(image, "n_frames", 1)), MOST)
    return 1


def _tiff(data: bytes) -> int:
    endian = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(endian + "H", data, 2)[0] == 43
    # Sizes of: the number of entries, an entry, an offset; where the first offset stands.
    number, entry, offset, first = ("Q", 20, "Q", 8) if big else ("H", 12, "L", 4)
    seen: set[int] = set()
    pages = 0
    try:
        (place,) = struct.unpack_from(endian + offset, data, first)
        while place and place not in seen and len(seen) < MOST:
            seen.add(place)
            (entries,) = struct.unpack_from(endian + number, data, place)
            start = place + struct.calcsize(endian + number)
            # Entries are sorted by their tag, and none is lower than NewSubfileType.
            tag, _ = struct.unpack_from(endian + "HH", data, start)
            kind = 0
            if tag == 254:
                (kind,) = struct.unpack_from(endian + "L", data, start + entry - (8 if big else 4))
            pages += not kind & _NO_PAGE
            (place,) = struct.unpack_from(endian + offset, data, start + entries * entry)
    except (struct.error, OverflowError):  # the file ends before its directory does
        pass
    return max(pages, 1)


def _gif(data: bytes) -> int:
    place, frames = 13, 0
    try:
        place += _colours(data[10])
        while frames < MOST and data[place] != ord(";"):
            if data[place] == ord(","):
                frames += 1
                place += 11 + _colours(data[place + 9])
            else:
                place += 2
            while size := data[place]:
                place += size + 1
            place += 1
    except IndexError:  # cut off
        pass
    return max(frames, 1)


def _colours(flags: int) -> int:
    """Bytes of a table of colours."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0
