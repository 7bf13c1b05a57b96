"""bf16, but f32 where rounding costs answers.

Found by keeping one layer after the other in f32 and comparing. Where lines are found, corners move
with what is rounded in the first half of the layers; where they are read, characters change with
squeeze-and-excitation (Hu et al., Squeeze-and-Excitation Networks, 2018), in which one rounded
value scales a whole channel. OpenVINO keeps a layer as it is when the model says so, which its
Python interface cannot express but its file format can.
"""

from __future__ import annotations

import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from pathlib import Path

import openvino as ov
from openvino._offline_transformations import apply_moc_transformations

_WEIGHTED = ("Convolution", "GroupConvolution", "ConvolutionBackpropData", "MatMul")
_PLAIN = ("Parameter", "Const", "Result")
#: As OpenVINO's own attribute of that name is written: no conversion from any type to any.
_KEEP = {"name": "DisablePrecisionConversion", "version": "0", "value": "dynamic:dynamic"}


def mostly_bf16(core: ov.Core, model: ov.Model, exact_share: float) -> ov.Model:
    """The same model, the layers that bf16 would harm marked to stay in f32.

    Args:
        exact_share: of the layers with weights, from the input on, that stay in f32 (0..1).
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


def exact_layers(layers: Iterable[ET.Element], exact_share: float) -> Iterator[ET.Element]:
    """Of a model's layers, in the order they run, those that are to stay in f32."""
    layers = list(layers)
    left = exact_share * sum(layer.get("type") in _WEIGHTED for layer in layers)
    for layer in layers:
        left -= layer.get("type") in _WEIGHTED
        if _is_floating(layer) and (left >= 0 < exact_share or _is_of_whole_picture(layer)):
            yield layer


def _is_floating(layer: ET.Element) -> bool:
    ports = layer.findall("output/port")
    return layer.get("type") not in _PLAIN and all(p.get("precision") == "FP32" for p in ports)


def _is_of_whole_picture(layer: ET.Element) -> bool:
    """One value a channel: (N, C, 1, 1)."""
    sides = [dim.text for dim in layer.findall("output/port[1]/dim")]
    return len(sides) == 4 and sides[2:] == ["1", "1"]


def _mark(layer: ET.Element) -> None:
    info = layer.find("rt_info")
    if info is None:
        info = ET.Element("rt_info")
        layer.insert(1 if layer.find("data") is not None else 0, info)
    ET.SubElement(info, "attribute", _KEEP)
