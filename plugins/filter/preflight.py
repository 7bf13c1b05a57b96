"""Filters of the role preflight: what the service needs of a host."""

from __future__ import annotations

from collections.abc import Iterable

from ppocr_contract import paddle

#: By whether the image has Paddle: the flag of the CPU, its name, and what was compiled for it.
#: OpenVINO's system requirements name SSE4.2; Paddle's wheels for x86-64 are built with AVX.
_NEEDED = {
    paddle.WITHOUT: ("sse4_2", "SSE4.2", "OpenVINO"),
    paddle.WITH: ("avx", "AVX", "PaddlePaddle"),
}


def preflight_cpu_lacks(flags: Iterable[str], image_paddle: str) -> str:
    """The instructions that a CPU lacks and what needs them, as a clause; empty if none.

    Args:
        flags: of the CPU.
        image_paddle: whether the host's image has Paddle, as in :func:`image_variant`.
    """
    flag, name, program = _NEEDED[image_paddle]
    return "" if flag in flags else f"{name}, which {program} needs"


class FilterModule:
    """The filters."""

    def filters(self) -> dict[str, object]:
        return {"preflight_cpu_lacks": preflight_cpu_lacks}
