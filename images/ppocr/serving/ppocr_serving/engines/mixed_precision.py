"""bf16, its first layers in f32.

Found by keeping one layer after the other in f32 and comparing: of what bf16 moves the corners of
lines by, most comes from the first depthwise convolution, one percent of the work. OpenVINO keeps a
layer as it is when the model says so, which its Python interface cannot express but its file format
can.

The models of the image are converted when it is built (images/ppocr/build/convert_models.py); one
that could not be is tried again while it is loaded. Models from outside the image compute in f32.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from pathlib import Path

import openvino as ov

from ppocr_contract.models import recorded_sha256

_GRAPH = "model.xml"
_WEIGHTED = ("Convolution", "GroupConvolution", "ConvolutionBackpropData", "MatMul")
_PLAIN = ("Parameter", "Const", "Result")
#: As OpenVINO's own attribute of that name is written: no conversion from any type to any.
_KEEP = {"name": "DisablePrecisionConversion", "version": "0", "value": "dynamic:dynamic"}


def read(core: ov.Core, program: Path, exact_share: float) -> ov.Model:
    """A model, its first layers marked to stay in f32 whatever the precision hint.

    Args:
        core: reads it.
        program: of the model.
        exact_share: how many of the layers with weights those are, from 0 to 1.
    """
    kept = kept_in(program, exact_share)
    if f"{kept.name}/{_GRAPH}" in recorded_sha256(program.parent):  # so it was verified at start
        return core.read_model(kept / _GRAPH)
    with tempfile.TemporaryDirectory(prefix="ppocr-model-") as folder:
        convert(program, exact_share, Path(folder))
        # Not mapped: the folder may be one of memory, and the file would stay there.
        return core.read_model(Path(folder) / _GRAPH, config={"ENABLE_MMAP": False})


def kept_in(program: Path, exact_share: float) -> Path:
    """The folder beside a model where its conversion is kept.

    Its name says what it was made of and how: another model, OpenVINO or share has another one.
    """
    recorded = recorded_sha256(program.parent)
    model = sorted(entry for entry in recorded.items() if "/" not in entry[0])
    made_of = json.dumps([model, ov.get_version(), exact_share])
    return program.with_name(f"bf16-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}")


def convert(program: Path, exact_share: float, folder: Path) -> None:
    """Write the marked model to a folder; arguments as in :func:`read`."""
    # What is marked has to be what runs: a layer that is merged into another loses its mark. So
    # the model is not only read but converted, which merges what can be.
    ov.serialize(ov.convert_model(program), folder / _GRAPH)
    tree = ET.parse(folder / _GRAPH)  # noqa: S314 - written by ourselves a moment ago
    for layer in exact_layers(tree.findall("layers/layer"), exact_share):
        _mark(layer)
    tree.write(folder / _GRAPH)


def exact_layers(layers: Sequence[ET.Element], exact_share: float) -> Iterator[ET.Element]:
    """Of a model's layers, in the order they run, those that are to stay in f32."""
    left = exact_share * sum(layer.get("type") in _WEIGHTED for layer in layers)
    for layer in layers:
        left -= layer.get("type") in _WEIGHTED
        if left < 0:
            return
        if _is_floating(layer):
            yield layer


def _is_floating(layer: ET.Element) -> bool:
    ports = layer.findall("output/port")
    return layer.get("type") not in _PLAIN and all(p.get("precision") == "FP32" for p in ports)


def _mark(layer: ET.Element) -> None:
    info = layer.find("rt_info")
    if info is None:
        info = ET.Element("rt_info")
        layer.insert(1 if layer.find("data") is not None else 0, info)
    ET.SubElement(info, "attribute", _KEEP)
