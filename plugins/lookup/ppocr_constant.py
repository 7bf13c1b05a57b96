"""Lookup plugin: what several roles have to call by the same name, by what it is."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ppocr_contract import config, paddle, pdserving, precision
from ppocr_contract.models import MODELS_ROOT
from ppocr_control import version
from ppocr_control.images import model_sets

_CONSTANTS: dict[str, Any] = {
    # Modules that come with the image.
    "modules": list(config.OUR_MODULES),
    # The engines of each device, beginning with the one that serves where none is named.
    "engines": {
        "cpu": [config.default_engine(use_gpu=False), "paddle"],
        "gpu": [config.default_engine(use_gpu=True), "paddle"],
    },
    # The path for clients of PaddleOCR's deploy/pdserving.
    "pdserving_path": pdserving.PATH,
    # Image labels: the hash of an image's sources; of an image that holds a part of another.
    "content_label": "org.ppocr.content",
    "part_label": "org.ppocr.part-of",
    # The label that says whether an image has Paddle.
    "paddle_label": paddle.LABEL,
    # The user of the images' processes, and of the edge.
    "user": "10001",
    # Models that can be named.
    "named_models": model_sets.rows(),
    # In the image: whether its models may compute in bf16, and why.
    "verdict_file": str(MODELS_ROOT / precision.VERDICT_FILE),
    # The version of this project, and of the image where the inventory names none.
    "version": version.current(),
}


class LookupModule(LookupBase):
    """ppocr_constant: the names of the constants."""

    def run(self, terms: list[Any], variables: Any = None, **kwargs: Any) -> list[Any]:
        """Return the constant of each name; raises AnsibleLookupError for one there is not."""
        if unknown := set(terms) - set(_CONSTANTS):
            raise AnsibleLookupError(f"ppocr_constant: no {', '.join(sorted(unknown))}")
        return [_CONSTANTS[term] for term in terms]
