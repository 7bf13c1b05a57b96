"""Archives made to take the builder's memory, disk or time: refused, or read in pieces."""

import io
import tarfile
import tracemalloc
import zipfile

import pytest

from ppocr_contract.models import ModelError
from ppocr_control.images import models, onnx_model, unpack

MB = 1_000_000
NAMES = ("inference.pdmodel", "inference.pdiparams", "inference.pdiparams.info")


class Zeros(io.RawIOBase):
    """So many zeros, made when they are read."""

    def __init__(self, size):
        self._left = size

    def read(self, size=-1):
        size = min(self._left, size if size >= 0 else self._left)
        self._left -= size
        return bytes(size)


def tar_of(path, mode, **sizes):
    with tarfile.open(path, mode) as archive:
        for name, size in sizes.items():
            info = tarfile.TarInfo(f"m/{name}")
            info.size = size
            archive.addfile(info, Zeros(size))
    return path


def zip_of(path, method, **sizes):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, size in sizes.items():
            with archive.open(f"m/{name}", "w", force_zip64=True) as file:
                source = Zeros(size)
                while block := source.read(MB):
                    file.write(block)
    return path


LARGE = dict.fromkeys(NAMES, 10) | {"inference.pdiparams": 80 * MB}
ARCHIVES = {
    "tar": lambda path, sizes: tar_of(path, "w", **sizes),
    "tar.gz": lambda path, sizes: tar_of(path, "w:gz", **sizes),
    "tar.bz2": lambda path, sizes: tar_of(path, "w:bz2", **sizes),
    "tar.xz": lambda path, sizes: tar_of(path, "w:xz", **sizes),
    "zip": lambda path, sizes: zip_of(path, zipfile.ZIP_DEFLATED, **sizes),
}


@pytest.fixture
def lay_out(tmp_path):
    """``lay_out(archive)`` takes the detector from it; it comes to models/det."""
    (tmp_path / "dict.txt").write_text("a\n")
    small = {"path": str(tar_of(tmp_path / "small.tar", "w", **dict.fromkeys(NAMES, 10)))}

    def laid_out(archive):
        rec = {**small, "dict": str(tmp_path / "dict.txt")}
        given = {"det": {"path": str(archive)}, "cls": small, "rec": rec}
        sources = {
            stage: {**source, "setting": f"ppocr_models.{stage}"} for stage, source in given.items()
        }
        models.lay_out(sources, tmp_path / "models", tmp_path / "cache")

    return laid_out


@pytest.mark.parametrize("kind", ARCHIVES)
def test_large_members_are_copied_in_pieces(tmp_path, lay_out, kind):
    archive = ARCHIVES[kind](tmp_path / f"model.{kind}", LARGE)
    tracemalloc.start()
    try:
        lay_out(archive)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert {path.name: path.stat().st_size for path in (tmp_path / "models/det").iterdir()} == LARGE
    assert peak < 30 * MB


@pytest.mark.parametrize("kind", ARCHIVES)
@pytest.mark.parametrize("wanted", [True, False], ids=["a model's file", "another file"])
def test_what_unpacks_to_more_than_a_model_is_refused(tmp_path, lay_out, monkeypatch, kind, wanted):
    monkeypatch.setattr(unpack, "BYTES_LIMIT", 3 * MB)
    sizes = {"inference.pdmodel" if wanted else "._other": 4 * MB}
    archive = ARCHIVES[kind](tmp_path / "bomb", sizes)
    with pytest.raises(ModelError, match="det: .*bomb unpacks to more than 3 MB"):
        lay_out(archive)
    assert list((tmp_path / "models/det").iterdir()) == []


@pytest.mark.parametrize("kind", ARCHIVES)
def test_too_many_files_are_refused(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(unpack, "FILES_LIMIT", 30)
    archive = ARCHIVES[kind](tmp_path / "many", {f"file{n}": 0 for n in range(31)})
    with pytest.raises(unpack.UnsafeArchive, match="30 files"):
        list(unpack.members(archive))


def test_a_zip_that_lies_about_a_size_is_refused(tmp_path, lay_out):
    path = zip_of(tmp_path / "lies.zip", zipfile.ZIP_DEFLATED, **{NAMES[0]: 5 * MB})
    data = bytearray(path.read_bytes())
    size = data.find(b"PK\x01\x02") + 24  # in the central directory
    assert data[size : size + 4] == (5 * MB).to_bytes(4, "little")
    data[size : size + 4] = (9).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(ModelError, match="det: .*lies"):
        lay_out(path)


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_name_of_megabytes_is_not_read(tmp_path, kind):
    with tarfile.open(tmp_path / "named.tar.gz", "w:gz", format=kind) as archive:
        archive.addfile(tarfile.TarInfo("a" * 9 * MB))
    with pytest.raises(unpack.UnsafeArchive, match="it has a header of"):
        list(unpack.members(tmp_path / "named.tar.gz"))


def test_sparse_members_are_refused(tmp_path):
    with tarfile.open(tmp_path / "sparse.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("inference.pdiparams")
        info.pax_headers = {
            "GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.map": "0,0",
            "GNU.sparse.size": str(10**12), "GNU.sparse.name": "inference.pdiparams",
        }  # fmt: skip
        archive.addfile(info)
    with pytest.raises(unpack.UnsafeArchive, match=r"sparse|more than"):
        list(unpack.members(tmp_path / "sparse.tar"))


def test_encrypted_and_unknown_zips_have_a_sentence(tmp_path):
    path = zip_of(tmp_path / "locked.zip", zipfile.ZIP_STORED, **{NAMES[0]: 10})
    data = bytearray(path.read_bytes())
    data[data.find(b"PK\x01\x02") + 8] |= 1  # the flag for encrypted
    path.write_bytes(data)
    with pytest.raises(unpack.UnsafeArchive, match="locked.zip is not a complete tar or zip"):
        list(unpack.members(path))


def test_a_dictionary_of_gigabytes_is_refused(tmp_path):
    with (tmp_path / "dict.txt").open("wb") as file:
        file.truncate(3_000 * MB)
    wrong = {"path": str(tmp_path), "dict": str(tmp_path / "dict.txt")}
    for name in NAMES:
        (tmp_path / name).touch()
    with pytest.raises(ModelError, match=r"ppocr_models.rec.dict: .* has 3000 MB"):
        models.resolve({"rec": wrong})


def test_an_onnx_file_is_not_read_whole(tmp_path):
    path = tmp_path / "rec.onnx"
    with path.open("wb") as file:  # a graph (field 7) of 1.5 GB, of which nothing is on the disk
        file.write(b"\x08\x0a\x3a" + b"\x80\xde\xa0\xcb\x05")
        file.truncate(file.tell() + 1_500_000_000)
    tracemalloc.start()
    try:
        assert onnx_model.metadata_of(path) == {}
        assert tracemalloc.get_traced_memory()[1] < MB
    finally:
        tracemalloc.stop()
    path.write_bytes(b"")
    with pytest.raises(onnx_model.NotOnnx):
        onnx_model.metadata_of(path)
