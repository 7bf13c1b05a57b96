"""bf16 with the first layers in f32.

Most of what bf16 costs a text model in accuracy comes from its first layers, where the picture's
own values are rounded; they are a few percent of the work. OpenVINO keeps a layer as it is when
the model says so, which its Python interface cannot express but its file format can.
"""

from __future__ import annotations

import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

import openvino as ov

#: Convolutions, from the input on, that stay in f32.
_EXACT = 2
_WEIGHTED = ("Convolution", "GroupConvolution", "ConvolutionBackpropData", "MatMul")
_PLAIN = ("Parameter", "Const", "Result")
#: As OpenVINO's own attribute of that name is written: no conversion from any type to any.
_KEEP = {"name": "DisablePrecisionConversion", "version": "0", "value": "dynamic:dynamic"}


def with_exact_start(core: ov.Core, model: ov.Model) -> ov.Model:
    """The same model, its first layers marked to stay in f32 whatever the precision hint."""
    names = [layer.get_friendly_name() for layer in model.get_ordered_ops()]
    weighted = [
        index
        for index, layer in enumerate(model.get_ordered_ops())
        if layer.get_type_name() in _WEIGHTED
    ]
    if len(weighted) <= _EXACT:
        return model
    first = set(names[: weighted[_EXACT]])
    with tempfile.TemporaryDirectory(prefix="ppocr-model-") as folder:
        graph, weights = Path(folder) / "model.xml", Path(folder) / "model.bin"
        ov.serialize(model, str(graph), str(weights))
        tree = ET.parse(graph)  # noqa: S314 - written by ourselves a moment ago
        for layer in tree.iterfind("layers/layer"):
            if layer.get("name") in first and _is_floating(layer):
                _mark(layer)
        tree.write(graph)
        # Not mapped: the folder may be one of memory, and the file would stay there.
        return core.read_model(str(graph), str(weights), config={"ENABLE_MMAP": False})


def _is_floating(layer: ET.Element) -> bool:
    ports = layer.findall("output/port")
    return layer.get("type") not in _PLAIN and all(p.get("precision") == "FP32" for p in ports)


def _mark(layer: ET.Element) -> None:
    info = layer.find("rt_info")
    if info is None:
        info = ET.Element("rt_info")
        layer.insert(1 if layer.find("data") is not None else 0, info)
    ET.SubElement(info, "attribute", _KEEP)
