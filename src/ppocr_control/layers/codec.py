"""Compression of layers: gzip on all cores, for every engine, or zstd for engines that read it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from isal import isal_zlib

from ..errors import Error
from ..files import read_blocks

#: Bytes of a layer in each gzip member, so that the same layer gives the same bytes again.
_MEMBER = 1 << 20
#: zstd layers load from this engine on; gzip layers load everywhere.
ZSTD_SINCE = (23, 0)
MEDIA_TYPES = {
    "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
}
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
# Measured on the image's Python packages, one core: isal's level 3 makes 37.7 % of them at
# 242 MB/s, zlib's level 4 35.3 % at 46 MB/s, whose seconds cost more than the bytes they save.
_GZIP_LEVEL, _ZSTD_LEVEL = 3, 6


def detect(head: bytes) -> str:
    """Return gzip, zstd or none, from the first bytes."""
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), "none")


def choose(engine_versions: Iterable[str]) -> str:
    """Return the codec that all these engines read, so that a layer is compressed only once."""
    oldest = min((_version(text) for text in engine_versions), default=(0, 0))
    return "zstd" if oldest >= ZSTD_SINCE and shutil.which("zstd") else "gzip"


def _version(text: str) -> tuple[int, int]:
    numbers = [int(part) if part.isdigit() else 0 for part in text.split("+")[0].split(".")[:2]]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else (0, 0)


def compress(blocks: Iterable[bytes], codec: str) -> Iterator[bytes]:
    """Yield compressed blocks; the same input always gives the same bytes."""
    return (
        _gzip(blocks) if codec == "gzip" else _pipe("zstd", f"-{_ZSTD_LEVEL}", "-T0", blocks=blocks)
    )


def decompress(blocks: Iterable[bytes], codec: str) -> Iterator[bytes]:
    """Yield the uncompressed layer.

    Raises:
        Error: truncated, or another format.
    """
    if codec == "zstd":
        return _pipe("zstd", "-d", blocks=blocks)
    return _gunzip(blocks) if codec == "gzip" else iter(blocks)


def _member(block: bytes) -> bytes:
    # Concatenated members are one gzip file, and each can be compressed on its own core.
    packer = isal_zlib.compressobj(_GZIP_LEVEL, isal_zlib.DEFLATED, 31)
    return packer.compress(block) + packer.flush()


def _resized(blocks: Iterable[bytes], size: int) -> Iterator[bytes]:
    buffer = bytearray()
    for block in blocks:
        buffer += block
        while len(buffer) >= size:
            yield bytes(buffer[:size])
            del buffer[:size]
    if buffer:
        yield bytes(buffer)


def _gzip(blocks: Iterable[bytes]) -> Iterator[bytes]:
    cores = os.cpu_count() or 1
    waiting: deque[Future[bytes]] = deque()
    with ThreadPoolExecutor(cores) as pool:
        for block in _resized(blocks, _MEMBER):
            waiting.append(pool.submit(_member, block))
            if len(waiting) > 2 * cores:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _gunzip(blocks: Iterable[bytes]) -> Iterator[bytes]:
    unpacker = isal_zlib.decompressobj(31)
    try:
        for block in blocks:
            rest = block
            while rest:
                if unpacker.eof:
                    unpacker = isal_zlib.decompressobj(31)
                plain = unpacker.decompress(rest)
                rest = unpacker.unused_data
                if plain:
                    yield plain
    except isal_zlib.error as error:  # type: ignore[misc]  # its stub lacks the base
        raise Error(f"a gzip layer is damaged: {error}") from error
    if not unpacker.eof:
        raise Error("a gzip layer is damaged: it ends too early")


def _pipe(*command: str, blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Pipe blocks through a command that reads standard input and writes standard output."""
    if not shutil.which(command[0]):
        raise Error(
            f"{command[0]} is needed for this and not installed: apt-get install {command[0]}"
        )
    process = subprocess.Popen(
        [*command, "-q", "-c"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
    assert stdin and stdout and stderr
    failures: list[BaseException] = []

    def feed() -> None:
        try:
            for block in blocks:
                stdin.write(block)
        except BrokenPipeError:
            pass  # the command's output says why it stopped reading
        except BaseException as error:
            failures.append(error)
        finally:
            with contextlib.suppress(BrokenPipeError):
                stdin.close()

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    try:
        yield from read_blocks(stdout)
        feeder.join()
        errors = stderr.read().decode(errors="replace").strip()
        if failures:
            raise failures[0]
        if process.wait():
            raise Error(f"{command[0]} failed: {errors}")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        feeder.join()
        stdout.close()
        stderr.close()
