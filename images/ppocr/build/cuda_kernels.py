"""Records for which cards an image's Paddle was compiled, and compares that with what was expected.

Runs while the image is built, standard library only: ``cuda_kernels.py FILE 6.1 7.0 ...`` reads the
device code in Paddle's libraries and writes the file. Without any expected the image is one for CPUs.
"""

from __future__ import annotations

import mmap
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

PADDLE = Path("/opt/ppocr/venv/lib/python3.11/site-packages/paddle")
LIBRARIES = ("libs/libphi.so", "base/libpaddle.so")
_SECTION = b".nv_fatbin\0"
_MAGIC = 0xBA55ED50
_MACHINE_CODE = 2  # kind of an entry; 1 is PTX


def sections(elf: mmap.mmap, wanted: bytes) -> Iterator[tuple[int, int]]:
    """(offset, size) of the sections of a 64-bit ELF file (elf(5)) that have this name."""
    (table,) = struct.unpack_from("<Q", elf, 0x28)
    size, count, names = struct.unpack_from("<HHH", elf, 0x3A)
    heads = [struct.unpack_from("<IIQQQQ", elf, table + n * size) for n in range(count)]
    for name, _, _, _, offset, length in heads:
        start = heads[names][4] + name
        if elf[start : start + len(wanted)] == wanted:
            yield offset, length


def architectures(elf: mmap.mmap, offset: int, size: int) -> Iterator[int]:
    """Architectures, such as 86, of the machine code in a section; one for each entry.

    It is a row of fat binaries, each with a header (magic, version, size of the header, size of the
    rest) and entries (kind, version, size of the header, size of the rest, ..., architecture), as
    NVIDIA's cuobjdump lists them.
    """
    at, end = offset, offset + size
    while at + 16 <= end:
        magic, _, head, length = struct.unpack_from("<IHHQ", elf, at)
        if magic != _MAGIC:
            at += 8  # between two of them
            continue
        entry, at = at + head, at + head + length
        while entry < at:
            kind, _, head, length, _, _, _, _, architecture = struct.unpack_from(
                "<HHIQIIHHI", elf, entry
            )
            if kind == _MACHINE_CODE:
                yield architecture
            entry += head + length


def compiled_for(library: Path) -> set[str]:
    """Compute capabilities that most of a library's kernels have machine code for.

    A few come from libraries linked into it, which were compiled for more.
    """
    with library.open("rb") as file:
        elf = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        found = Counter(
            each for place in sections(elf, _SECTION) for each in architectures(elf, *place)
        )
    most = max(found.values(), default=0)
    return {f"{each // 10}.{each % 10}" for each, count in found.items() if count > most / 2}


def main(target: Path, expected: list[str]) -> None:
    libraries = [PADDLE / name for name in LIBRARIES if (PADDLE / name).is_file()]
    found = set.intersection(*map(compiled_for, libraries)) if libraries else set()
    kernels = sorted(found, key=lambda each: [int(part) for part in each.split(".")])
    if kernels != expected:
        sys.exit(
            f"Paddle has kernels for {', '.join(kernels) or 'no card'}, and KERNELS in "
            f"src/ppocr_contract/cards.py names {', '.join(expected) or 'none'}: correct it there"
        )
    if kernels:
        target.write_text(f"{' '.join(kernels)}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
