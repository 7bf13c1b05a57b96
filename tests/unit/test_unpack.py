"""Model archives that say or hold more than a model has: refused, and never read into memory."""

import bz2
import gzip
import io
import lzma
import resource
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from ppocr_serving.models import ModelError
from ppocrlib import models, onnxmodel, unpack

ROOT = Path(__file__).parents[2]
MB = 1 << 20
#: Copies the model files of an archive, with room for nothing large in memory.
COPY = """
import resource, sys
from pathlib import Path
sys.path.insert(0, "scripts")
from ppocrlib import models, unpack
unpack.FILE_LIMIT = 256 << 20
resource.setrlimit(resource.RLIMIT_AS, (700 << 20, 700 << 20))
try:
    models._copy_from_archive(Path(sys.argv[1]), "", Path(sys.argv[2]))
except unpack.UnsafeArchive as error:
    print(error)
# Of this program alone: getrusage counts the one that started it, too.
peak = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
assert peak < 150 << 10, f"{peak} kB"
"""


def zeros(packed, size):
    """Write zeros to a compressing file."""
    block = bytes(MB)
    for _ in range(size // MB):
        packed.write(block)


def large_tar(path, opened, size, name="m/inference.pdiparams", **header):
    """A compressed tar with one file of zeros."""
    with opened(path, "wb") as packed:
        info = tarfile.TarInfo(name)
        info.size = size
        for key, value in header.items():
            setattr(info, key, value)
        packed.write(info.tobuf(tarfile.GNU_FORMAT))
        zeros(packed, size)
        packed.write(bytes(1024))
    return path


def copied(archive, tmp_path):
    """What copying says, in a process that may not grow."""
    target = tmp_path / "target"
    target.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", COPY, archive, target], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), target


@pytest.mark.parametrize("compressed", [gzip.open, bz2.open])
def test_a_member_larger_than_any_model_is_refused(tmp_path, compressed):
    path = tmp_path / "model.tar"
    large_tar(path, compressed, 300 * MB)
    assert path.stat().st_size < MB
    said, target = copied(path, tmp_path)
    assert "'m/inference.pdiparams' has 315 MB unpacked" in said
    assert not list(target.iterdir())


def test_a_zip_that_says_it_is_larger_is_refused(tmp_path):
    path = tmp_path / "model.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("m/inference.pdiparams", "w", force_zip64=True) as packed,
    ):
        zeros(packed, 300 * MB)
    said, _ = copied(path, tmp_path)
    assert "has 315 MB unpacked" in said


@pytest.mark.parametrize(
    "compressed",
    [gzip.open, bz2.open, lzma.open, open],
    ids=["gzip", "bzip2", "xz", "none"],
)
def test_what_a_model_may_have_is_copied_a_block_at_a_time(tmp_path, compressed):
    path = tmp_path / "model.tar"
    large_tar(path, compressed, 180 * MB)
    said, target = copied(path, tmp_path)
    assert not said and (target / "inference.pdiparams").stat().st_size == 180 * MB


def test_other_files_count_too(tmp_path):
    path = tmp_path / "model.tar"
    large_tar(path, gzip.open, 300 * MB, name="readme.txt")
    assert "'readme.txt' has 315 MB" in copied(path, tmp_path)[0]


def test_many_files_below_the_limit_of_one_are_counted_together(tmp_path, monkeypatch):
    monkeypatch.setattr(unpack, "TOTAL_LIMIT", 10 * MB)
    path = tmp_path / "model.tar"
    with tarfile.open(path, "w:gz") as archive:
        for number in range(6):
            info = tarfile.TarInfo(f"{number}")
            info.size = 2 * MB
            archive.addfile(info, io.BytesIO(bytes(2 * MB)))
    with pytest.raises(unpack.UnsafeArchive, match="its files have more than"):
        list(unpack.members(path))


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_thousands_of_tiny_files_are_refused(tmp_path, kind):
    path = tmp_path / "model"
    if kind == "tar":
        with tarfile.open(path, "w:gz") as archive:
            for number in range(unpack.MEMBERS_LIMIT + 1):
                archive.addfile(tarfile.TarInfo(f"{number}"))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            for number in range(unpack.MEMBERS_LIMIT + 1):
                archive.writestr(f"{number}", "")
    with pytest.raises(unpack.UnsafeArchive, match="more than 10,000 files"):
        list(unpack.members(path))


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_is_not_read_whole_either(tmp_path, kind):
    path = tmp_path / "model.tar"
    large_tar(path, gzip.open, 300 * MB, type=kind)
    assert "a header in it is larger" in copied(path, tmp_path)[0]


def test_headers_behind_headers_end(tmp_path):
    path = tmp_path / "model.tar"
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 0
    with gzip.open(path, "wb") as packed:
        packed.write(info.tobuf(tarfile.GNU_FORMAT) * 20_000)
    with pytest.raises(unpack.UnsafeArchive):
        list(unpack.members(path))


def test_sparse_files_are_refused(tmp_path):
    path = tmp_path / "model.tar"
    info = tarfile.TarInfo("inference.pdiparams")
    info.pax_headers = {
        "GNU.sparse.map": "0,0", "GNU.sparse.size": str(1 << 50), "GNU.sparse.numblocks": "1",
        "GNU.sparse.name": "inference.pdiparams",
    }  # fmt: skip
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info)
    with pytest.raises(unpack.UnsafeArchive, match="1,125,899,907 MB|sparse"):
        list(unpack.members(path))


def test_a_zips_directory_is_not_read_whole(tmp_path):
    path = tmp_path / "model.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(200):
            entry = zipfile.ZipInfo(f"{number}")
            entry.comment = bytes(65_000)
            archive.writestr(entry, "")
    with pytest.raises(unpack.UnsafeArchive, match="its directory is larger"):
        list(unpack.members(path))


def test_xz_gets_no_more_memory_than_its_usual_levels_take(tmp_path):
    path = tmp_path / "model.tar.xz"
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 512 * MB}]
    with lzma.open(path, "wb", filters=filters) as packed:
        packed.write(bytes(4096))
    with pytest.raises(unpack.UnsafeArchive, match="no whole tar"):
        list(unpack.members(path))


def test_encrypted_and_unusual_zips_are_named(tmp_path):
    path = tmp_path / "model.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("m/inference.pdmodel", "x" * 100)
    with pytest.raises(unpack.UnsafeArchive, match="packed in an unusual way"):
        list(unpack.members(path))


def test_a_dictionary_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(models, "DICTIONARY_LIMIT", 10)
    source = tmp_path / "dict.txt"
    source.write_text("a\n" * 10)
    with pytest.raises(ModelError, match=r"ppocr_models.rec.dict: .* no list of characters"):
        models._copy_dictionary({"dict": str(source)}, tmp_path / "out.txt", tmp_path)


@pytest.mark.parametrize("dictionary", ["/dev/zero", "/dev/null", "/"])
def test_a_dictionary_is_a_file(dictionary):
    with pytest.raises(ModelError, match=r"ppocr_models.rec.dict: .* is no file"):
        models.resolve({"rec": {**models.DEFAULT_SOURCES["rec"], "dict": dictionary}})


def test_an_onnx_file_is_not_read_whole(tmp_path):
    path = tmp_path / "rec.onnx"
    head = b"\x08\x0a\x3a" + bytes([0x80, 0x80, 0x80, 0x80, 0x04])  # a graph of 1 GiB
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + (1 << 30))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert onnxmodel.metadata_of(path) == {}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10


def test_a_text_in_an_onnx_file_is_bounded():
    size = bytes([0x80 | 0x10, 0x80, 0x80, 0x08])  # 16 MiB and 16
    value = b"\x12" + size + bytes(16 * MB + 16)
    entry_size = len(value)
    places = b""
    while entry_size > 0x7F:
        places += bytes([entry_size & 0x7F | 0x80])
        entry_size >>= 7
    with pytest.raises(onnxmodel.NotOnnx, match="a text of more than"):
        onnxmodel.metadata(b"\x72" + places + bytes([entry_size]) + value)
