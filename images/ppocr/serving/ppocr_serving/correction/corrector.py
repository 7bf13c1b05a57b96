"""Finds characters of a text that are likely wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ppocr_contract.models import MODELS_ROOT, ModelError

from . import lattice
from .candidates import Alike, Candidates, to_try
from .language_model import LanguageModel

FOLDER = MODELS_ROOT / "text_correction"
LANGUAGE_MODEL, ALIKE = "zh_CN.lm", "alike.json"
_REMEDY = "name text_correction in hubserving_modules and build the image again"
#: Chinese characters one after another; longer runs are cut, so that time does not grow with them.
_RUN = re.compile("[\u4e00-\u9fff]{2,100}")
#: Between the parts of a foreign name, which is written with characters for their sound.
_OF_A_NAME = "·"
#: Characters to either side that a correction is judged by: words of a trigram, and some more.
_NEAR = 12
#: A text with one error that is sure has others more likely than a text without: the part of the
#: gain that is asked of them.
_OTHERS = 0.25


@dataclass(frozen=True)
class Finding:
    """A character that is likely wrong.

    Attributes:
        place: its index in the text.
        wrong: what stands there.
        right: what was likely meant.
        gain: powers of ten by which that is likelier.
    """

    place: int
    wrong: str
    right: str
    gain: float

    def answered(self) -> list[dict[str, str]]:
        """In the contract's form: a list of mappings with one key each, all values texts."""
        return [
            {"err": self.wrong},
            {"fix": self.right},
            {"startIdx": str(self.place)},
            {"endIdx": str(self.place + len(self.wrong))},
        ]


class Corrector:
    """Finds errors with a language model. Safe for threads.

    Args:
        folder: with the language model and the table of characters that are alike.

    Raises:
        ModelError: the image was built without them, or they cannot be read.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        check(folder)
        try:
            self._model = LanguageModel(folder / LANGUAGE_MODEL)
            self._alike = Alike(folder / ALIKE)
        except (ImportError, OSError, ValueError, RuntimeError) as error:
            raise ModelError(
                f"text_correction: {folder} cannot be loaded ({error}): {_REMEDY}"
            ) from error

    def findings(
        self, text: str, gain: float, choices: Sequence[Candidates] | None = None
    ) -> list[Finding]:
        """The findings in a text, in order of position.

        Args:
            gain: powers of ten by which the surest correction has to be likelier than what stands
                there; others in the same text need a quarter of it.
            choices: for each character, what its recogniser read it as, too, and by how many powers
                of ten less surely (below 0). Without them, characters that are alike are tried.
        """
        found = [
            finding
            for run in _RUN.finditer(text)
            if _OF_A_NAME not in text[max(run.start() - 1, 0) : run.end() + 1]
            for finding in self._of_run(run.group(), run.start(), choices)
        ]
        if max((finding.gain for finding in found), default=0.0) < gain:
            return []
        return [finding for finding in found if finding.gain >= gain * _OTHERS]

    def _of_run(self, text: str, place: int, choices: Sequence[Candidates] | None) -> list[Finding]:
        """Candidates for findings in Chinese characters that begin at a place of the text."""
        pictured = choices is not None
        if choices is None:
            candidates = [self._alike.of(character) for character in text]
        else:
            candidates = list(map(to_try, text, choices[place : place + len(text)]))
        likeliest = lattice.best(self._model, text, candidates, pictured)
        taken: list[Candidates] = [
            {} if right == wrong else {right: costs[right]}
            for wrong, right, costs in zip(text, likeliest.text, candidates, strict=True)
        ]
        return [
            Finding(
                place + index,
                text[index],
                likeliest.text[index],
                self._gain(text, taken, index, pictured),
            )
            for index, correction in enumerate(taken)
            if correction
        ]

    def _gain(self, text: str, taken: Sequence[Candidates], index: int, pictured: bool) -> float:
        """How much likelier a text is with one of the corrections taken than without it."""
        near = slice(max(index - _NEAR, 0), index + _NEAR + 1)
        before = min(index, _NEAR)
        with_it = list(taken[near])
        without = [*with_it[:before], {}, *with_it[before + 1 :]]
        return (
            lattice.best(self._model, text[near], with_it, pictured).score
            - lattice.best(self._model, text[near], without, pictured).score
        )


def check(folder: Path = FOLDER) -> None:
    """Check that the image has what a corrector needs.

    Raises:
        ModelError: it was built without.
    """
    missing = [name for name in (LANGUAGE_MODEL, ALIKE) if not (folder / name).is_file()]
    if missing:
        raise ModelError(
            f"text_correction: the image has no {' and no '.join(missing)} in {folder}: {_REMEDY}"
        )
