"""What the module text_correction is made of: a request's texts, checked and worked on in turns."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from ppocr_contract.config import TEXT_MODULE
from ppocr_contract.models import recognizers
from ppocr_contract.resources import loaded_beside

from .correction.corrector import Corrector, check
from .cpus import available_cpus
from .engines import CPU, EngineOptions
from .memory import forget_room, inferences
from .report import Report, RequestError, stage
from .runtime import corrector, threads
from .served_module import ServedModule

#: The guide's own example.
_EXAMPLE = "为什公你不口家"


class TextModule(ServedModule):
    """Finds likely wrong characters in texts.

    Args:
        unused: what config.json has for modules with an engine: this one has none.

    Raises:
        ModelError: the image was built without a language model.
        ParamsError: a parameter is unknown or has a wrong value.
    """

    request_keys = ("texts",)

    def __init__(self, **unused: Any) -> None:
        super().__init__()
        check()
        self._params = self.read_params()
        # As many as the modules that read pictures count, so that they are the same threads.
        beside = loaded_beside(len(recognizers()), (TEXT_MODULE,))
        at_once = inferences(available_cpus(), self.limits.workers, beside)
        self._threads = threads(EngineOptions(threads=at_once))

    @property
    def device(self) -> str:
        """Where the module runs, whatever the others run on."""
        return CPU

    def read_params(self) -> Any:
        """The module's parameters."""
        raise NotImplementedError

    def corrector(self) -> Corrector:
        """The loaded language model."""
        return corrector()

    def respond(self, report: Report, given: Mapping[str, Any]) -> list[Any]:
        """Findings of each text, in the texts' order.

        Raises:
            RequestError: no texts, too many, or too long ones.
        """
        asked = self._checked(given.get("texts"))
        gain = report.options.get("text_correction_gain", self._params.text_correction_gain)
        report.large = len(asked) > 1
        report.lines = len(asked)
        # Not asked for on an inference thread: whoever loads a model waits for one of these.
        loaded = self.corrector()

        def found(text: str) -> list[list[dict[str, str]]]:
            with stage("correct"):
                return [each.answered() for each in loaded.findings(text, gain)]

        return self._threads.map(found, asked)

    def _checked(self, texts: Any) -> list[str]:
        if not isinstance(texts, list) or not texts:
            raise RequestError("texts must be a list of at least one text", "texts")
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                raise RequestError(f"texts[{number}] is not a string", "texts")
        count, most = len(texts), self.limits.texts_limit
        if count > most:
            raise RequestError(
                f"{count} texts are more than {most} (hubserving_texts_limit)", "texts", 413
            )
        characters, most = sum(map(len, texts)), self.limits.characters_limit
        if characters > most:
            raise RequestError(
                f"{characters} characters are more than {most} (hubserving_characters_limit)",
                "texts",
                413,
            )
        return texts

    def warm_up(self) -> None:
        """Load the language model and use it once; what memory is left is for pictures."""
        self.corrector().findings(_EXAMPLE, self._params.text_correction_gain)
        forget_room()


def debug(module: type[TextModule]) -> None:
    """Run the module on texts from the command line, as the guide recommends before serving."""
    parser = argparse.ArgumentParser(description=module.__doc__)
    parser.add_argument("texts", nargs="+")
    print(
        json.dumps(module().answer(texts=parser.parse_args().texts), ensure_ascii=False, indent=4)
    )
