"""bf16, its first layers in f32.

Found by keeping one layer after the other in f32 and comparing: of what bf16 moves the corners of
lines by, most comes from the first depthwise convolution, one percent of the work. OpenVINO keeps a
layer as it is when the model says so, which its Python interface cannot express but its file format
can.
"""

from __future__ import annotations

import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from pathlib import Path

import openvino as ov
from openvino._offline_transformations import apply_moc_transformations

_WEIGHTED = ("Convolution", "GroupConvolution", "ConvolutionBackpropData", "MatMul")
_PLAIN = ("Parameter", "Const", "Result")
#: As OpenVINO's own attribute of that name is written: no conversion from any type to any.
_KEEP = {"name": "DisablePrecisionConversion", "version": "0", "value": "dynamic:dynamic"}


def mostly_bf16(core: ov.Core, model: ov.Model, exact_share: float) -> ov.Model:
    """The same model, its first layers marked to stay in f32 whatever the precision hint.

    Args:
        exact_share: how many of the layers with weights those are, from 0 to 1.
    """
    # What is marked has to be what runs: a layer that is merged into another loses its mark.
    apply_moc_transformations(model, cf=True, smart_reshape=False)
    with tempfile.TemporaryDirectory(prefix="ppocr-model-") as folder:
        graph, weights = Path(folder) / "model.xml", Path(folder) / "model.bin"
        ov.serialize(model, str(graph), str(weights))
        tree = ET.parse(graph)  # noqa: S314 - written by ourselves a moment ago
        for layer in exact_layers(tree.findall("layers/layer"), exact_share):
            _mark(layer)
        tree.write(graph)
        # Not mapped: the folder may be one of memory, and the file would stay there.
        return core.read_model(str(graph), str(weights), config={"ENABLE_MMAP": False})


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
