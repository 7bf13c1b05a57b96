"""Records for which cards an image's engine was compiled, and compares that with what was expected.

Runs while the image is built, standard library only: ``cuda_kernels.py FILE 6.1 7.0 ...`` reads the
device code in the engine's libraries and writes the file. PTX counts as well: ``9.0+PTX``. Without
any expected the image is one for CPUs.
"""

from __future__ import annotations

import mmap
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

PACKAGES = Path("/opt/ppocr/venv/lib/python3.11/site-packages")
#: Of Paddle and of ONNX Runtime; an image for GPUs has one of them.
LIBRARIES = ("paddle/libs/libphi.so", "paddle/base/libpaddle.so",
             "onnxruntime/capi/libonnxruntime_providers_cuda.so")  # fmt: skip
_SECTION = b".nv_fatbin\0"
_MAGIC = 0xBA55ED50
_PTX, _MACHINE_CODE = 1, 2  # kinds of entries


def sections(elf: mmap.mmap, wanted: bytes) -> Iterator[tuple[int, int]]:
    """(offset, size) of the sections of a 64-bit ELF file (elf(5)) that have this name."""
    (table,) = struct.unpack_from("<Q", elf, 0x28)
    size, count, names = struct.unpack_from("<HHH", elf, 0x3A)
    heads = [struct.unpack_from("<IIQQQQ", elf, table + n * size) for n in range(count)]
    for name, _, _, _, offset, length in heads:
        start = heads[names][4] + name
        if elf[start : start + len(wanted)] == wanted:
            yield offset, length


def architectures(elf: mmap.mmap, offset: int, size: int) -> Iterator[tuple[int, int]]:
    """Kind and architecture, such as 86, of the code in a section; one for each entry.

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
            yield kind, architecture
            entry += head + length


def compiled_for(library: Path) -> set[str]:
    """Compute capabilities that most of a library's kernels have code for.

    A few come from libraries linked into it, which were compiled for more.
    """
    with library.open("rb") as file:
        elf = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        found = Counter(
            each for place in sections(elf, _SECTION) for each in architectures(elf, *place)
        )
    most = max(found.values(), default=0)
    usual = {each for each, count in found.items() if count > most / 2}
    return {
        f"{number // 10}.{number % 10}{'+PTX' * ((_PTX, number) in usual)}"
        for kind, number in usual
        if kind == _MACHINE_CODE
    }


def main(target: Path, expected: list[str]) -> None:
    libraries = [PACKAGES / name for name in LIBRARIES if (PACKAGES / name).is_file()]
    found = set.intersection(*map(compiled_for, libraries)) if libraries else set()
    kernels = sorted(
        found, key=lambda each: [int(part) for part in each.removesuffix("+PTX").split(".")]
    )
    if kernels != expected:
        sys.exit(
            f"the engine has kernels for {', '.join(kernels) or 'no card'}, and LIBRARIES in "
            f"src/ppocr_contract/cards.py names {', '.join(expected) or 'none'}: correct it there"
        )
    if kernels:
        target.write_text(f"{' '.join(kernels)}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
