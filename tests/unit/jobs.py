"""Jobs as the functions of ppocr_control.shipping take them."""

from __future__ import annotations

from contextlib import nullcontext

from ppocr_control.layers.image_archive import Image
from ppocr_control.layers.store import LayerStore
from ppocr_control.progress import Progress
from ppocr_control.shipping.job import Job, Supply

QUIET = Progress("testing", quiet=True)


def job(image: Image, store: LayerStore, staging: str = "/staging") -> Job:
    """An image whose layers are in the store, for hosts that stage it all in one place."""
    supply = Supply(image, store, nullcontext, QUIET)
    return Job(image, ["a:1"], supply, lambda host: staging, QUIET)
