"""Which cards an image's engine has kernels for, read from its libraries as it is built."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from role_code import load

from ppocr_contract import cards

kernels = load("images/ppocr/build/cuda_kernels.py")
SASS, PTX = 2, 1


def library(path: Path, *fat_binaries: list[tuple[int, int]]) -> None:
    """An ELF file with a section .nv_fatbin of these, each with entries (kind, architecture)."""
    section = b""
    for entries in fat_binaries:
        packed = (
            struct.pack("<HHIQIIHHI", kind, 0, 64, 24, 0, 0, 0, 0, at) for kind, at in entries
        )
        body = b"".join(entry.ljust(64 + 24, b"\1") for entry in packed)
        section += struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(body)) + body + bytes(8)
    names = b"\0.nv_fatbin\0.shstrtab\0"
    heads = [(0, 0, 0), (1, 64, len(section)), (12, 64 + len(section), len(names))]
    table = b"".join(
        struct.pack("<IIQQQQ", n, 1, 0, 0, at, size).ljust(64) for n, at, size in heads
    )
    head = b"\x7fELF".ljust(0x28) + struct.pack("<Q", 64 + len(section) + len(names))
    head = head.ljust(0x3A) + struct.pack("<HHH", 64, len(heads), 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + section + names + table)


@pytest.fixture
def paddle(tmp_path, monkeypatch):
    """Libraries with kernels for 7.0 and 8.6; a few, from elsewhere, for more."""
    kernel = [(SASS, 70), (SASS, 86)]
    more = [(SASS, 90), (PTX, 86), *kernel]
    library(tmp_path / kernels.LIBRARIES[0], kernel, kernel, kernel, more)
    library(tmp_path / kernels.LIBRARIES[1], kernel)
    monkeypatch.setattr(kernels, "PACKAGES", tmp_path)
    return tmp_path


def test_they_are_recorded(paddle, tmp_path):
    kernels.main(tmp_path / "found", ["7.0", "8.6"])
    assert (tmp_path / "found").read_text() == "7.0 8.6\n"


@pytest.mark.parametrize("expected", [[], ["7.0"], list(cards.LIBRARIES["paddle"].kernels)])
def test_a_build_that_expects_others_ends(paddle, tmp_path, expected):
    with pytest.raises(SystemExit, match=r"the engine has kernels for 7.0, 8.6, and LIBRARIES"):
        kernels.main(tmp_path / "found", expected)
    assert not (tmp_path / "found").exists()


def test_ptx_of_an_architecture_is_recorded_with_its_machine_code(tmp_path, monkeypatch):
    monkeypatch.setattr(kernels, "PACKAGES", tmp_path)
    kernel = [(SASS, 60), (SASS, 90), (PTX, 90), (SASS, 100)]
    library(tmp_path / kernels.LIBRARIES[2], kernel, kernel)
    kernels.main(tmp_path / "found", ["6.0", "9.0+PTX", "10.0"])
    assert (tmp_path / "found").read_text() == "6.0 9.0+PTX 10.0\n"


def test_an_image_for_cpus_has_none(tmp_path, monkeypatch):
    monkeypatch.setattr(kernels, "PACKAGES", tmp_path)
    kernels.main(tmp_path / "found", [])
    library(tmp_path / kernels.LIBRARIES[1])
    kernels.main(tmp_path / "found", [])
    assert not (tmp_path / "found").exists()
    with pytest.raises(SystemExit, match="the engine has kernels for no card, and"):
        kernels.main(tmp_path / "found", ["8.6"])
