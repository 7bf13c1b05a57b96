"""Whether the settings of a service fit the memory it has, in one place.

Standard library only: the control node checks settings with the same figures before a host is
touched, and makes the container's memory limit of them where none is set.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path

from .config import TEXT_MODULE
from .settings import Settings

#: MB, measured: front, gunicorn's master and supervisor; a worker that has loaded its models; what
#: CUDA and Paddle take of the host's memory in a worker on a card.
FRONT = 150
WORKER = 400
CUDA_WORKER = 1900
#: MB of each recogniser in a worker beside the default one (hubserving_recognizers), once it has
#: read: 75 with PP-OCRv6-tiny, PP-OCRv6-small and PP-OCRv5-mobile on two CPUs.
RECOGNIZER = 80
#: MB of the language model in a worker that serves text_correction.
CORRECTION = 90
#: MB; a smaller ceiling is passed by the first pages, and the worker renewed for ever.
LEAST_CEILING = {False: 500, True: 100}
#: MB of a megapixel, decoded to three bytes a pixel.
_PIXELS = 3
_GIGA = 1024**3
_LEAST_LIMIT = 4 * _GIGA
_UNITS = {unit: 1024**power for power, unit in enumerate(("", "k", "m", "g", "t"))}


def size(text: str) -> int:
    """Bytes of a size as Docker writes it (``4g``, ``512m``); 0 is no limit.

    Raises:
        ValueError: it is no such size.
    """
    match = re.fullmatch(r"([0-9]+(?:[.][0-9]+)?)([kmgt]?)b?", text.lower())
    if not match:
        raise ValueError(f"{text!r} is no size: write it such as 4g or 512m")
    return int(float(match[1]) * _UNITS[match[2]])


def loaded_beside(recognizers: int, modules: Iterable[str]) -> int:
    """MB of what each worker loads beside the default models.

    Args:
        recognizers: beside the default one.
        modules: that it serves.
    """
    return recognizers * RECOGNIZER + (CORRECTION if TEXT_MODULE in modules else 0)


def _worker(on_gpu: bool, beside: int) -> int:
    """MB of a worker that has loaded its models."""
    return (CUDA_WORKER if on_gpu else WORKER) + beside


def least(workers: int, on_gpu: bool, beside: int = 0) -> int:
    """MB without which the service cannot serve: its processes, with their models loaded.

    ``beside``, here as below, is :func:`loaded_beside`.
    """
    return FRONT + workers * _worker(on_gpu, beside)


def most(settings: Settings, workers: int, on_gpu: bool, beside: int = 0) -> int:
    """MB the service takes at its most: every worker at its ceiling with pictures in hand, bodies
    up to their limit, and one worker more while another is renewed.

    On a GPU the ceiling counts what a worker gains after it is ready.
    """
    fresh = _worker(on_gpu, beside)
    grown = settings.memory_ceiling + (fresh if on_gpu else 0)
    in_hand = settings.threads * settings.pixels_limit * _PIXELS
    renewed = workers * (max(grown, fresh) + in_hand) + fresh
    return FRONT + settings.buffer_limit + renewed


def limit_for(settings: Settings, workers: int, on_gpu: bool, beside: int = 0) -> str:
    """A memory limit that has room for :func:`most`: whole gigabytes, 4g at least."""
    needed = max(most(settings, workers, on_gpu, beside) * 1_000_000, _LEAST_LIMIT)
    return f"{math.ceil(needed / _GIGA)}g"


def contradiction(settings: Settings, on_gpu: bool, beside: int = 0) -> str:
    """What in the settings cannot work together whatever the memory, as a sentence; or ''."""
    if settings.buffer_limit < settings.body_limit:
        return (
            f"hubserving_buffer_limit ({settings.buffer_limit} MB for all requests) is less than "
            f"hubserving_body_limit ({settings.body_limit} MB for one), which could then never be "
            f"sent: set it to {settings.body_limit} at least"
        )
    # On a card what a worker has when it is ready does not count.
    floor = LEAST_CEILING[on_gpu] + (0 if on_gpu else beside)
    if 0 < settings.memory_ceiling < floor:
        return (
            f"hubserving_memory_ceiling ({settings.memory_ceiling} MB) is passed as soon as a "
            f"worker reads, so it would be renewed for ever: set it to {floor} at least, or 0"
        )
    return ""


def shortage(
    settings: Settings,
    workers: int,
    on_gpu: bool,
    limit: int,
    named: str = "hubserving_memory_limit",
    beside: int = 0,
) -> tuple[str, str]:
    """Compare with a memory limit in bytes (0 for none), which messages call ``named``.

    Returns:
        (error, note), each a sentence or empty: it cannot serve, or may run short at its most.
    """
    have, needed = limit / 1_000_000, least(workers, on_gpu, beside)
    wanted = most(settings, workers, on_gpu, beside)
    what = f"{workers} worker{'s' if workers > 1 else ''}{' on GPUs' if on_gpu else ''}"
    remedy = (
        f"set hubserving_memory_limit to {limit_for(settings, workers, on_gpu, beside)}, "
        f"{'name fewer hubserving_recognizers or hubserving_modules, ' if beside else ''}or lower "
        f"{'hubserving_workers_per_gpu' if on_gpu else 'hubserving_workers'}, "
        "hubserving_memory_ceiling, hubserving_buffer_limit, hubserving_threads or "
        "hubserving_pixels_limit"
    )
    if not limit or have >= wanted:
        return "", ""
    if have < needed:
        return (
            f"{named} is {have:.0f} MB, and {what} cannot start with less than "
            f"{needed} MB: {remedy}"
        ), ""
    return "", (
        f"{named} is {have:.0f} MB, and {what} may take up to {wanted} MB, "
        f"so that the kernel would kill one under load: {remedy}"
    )


def available(cgroup: Path = Path("/sys/fs/cgroup"), meminfo: Path = Path("/proc/meminfo")) -> int:
    """Bytes this container may have: its limit (cgroup v2, then v1) or the host's memory."""
    found = []
    for path in (cgroup / "memory.max", cgroup / "memory/memory.limit_in_bytes"):
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            found.append(int(text))
            break
    try:
        total = re.search(r"MemTotal: +([0-9]+) kB", meminfo.read_text())
    except OSError:
        total = None
    if total:
        found.append(int(total[1]) * 1024)
    return min(found, default=0)
