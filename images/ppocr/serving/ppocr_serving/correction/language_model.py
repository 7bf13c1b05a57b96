"""How likely words follow each other in Chinese: a trigram model, as input methods have it."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

#: Longer words have too few errors to be found by them.
LONGEST = 6
#: The first of a model's words, which it holds at its end, each ended by a null byte.
_FIRST_WORD = b"<unk>\0"


class LanguageModel:
    """A model whose words are written without spaces. Safe for threads.

    Args:
        path: a binary file of KenLM with its vocabulary (Heafield, 2011).

    Attributes:
        words: it knows, of up to :data:`LONGEST` characters.
        beginnings: of these words, and they themselves.

    Raises:
        ImportError: the package kenlm is not installed.
        OSError, ValueError: the file cannot be read, or has no vocabulary.
    """

    def __init__(self, path: Path) -> None:
        import kenlm  # in images that have text_correction only

        self._new_state = kenlm.State
        self._model = kenlm.Model(str(path))
        self.words = frozenset(_vocabulary(path))
        self.beginnings = frozenset(
            word[:length] for word in self.words for length in range(1, len(word) + 1)
        )

    def start(self) -> Any:
        """The state at the beginning of a sentence."""
        state = self._new_state()
        self._model.BeginSentenceWrite(state)
        return state

    def follow(self, state: Any, word: str) -> tuple[float, Any]:
        """The logarithm (base ten) of a word's probability there, and the state after it."""
        after = self._new_state()
        return self._model.BaseScore(state, word, after), after

    def end(self, state: Any) -> float:
        """The logarithm of the probability that the sentence ends there."""
        return self.follow(state, "</s>")[0]


def _vocabulary(path: Path) -> list[str]:
    """The words of a model of up to :data:`LONGEST` characters."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        place = data.rfind(_FIRST_WORD)
        if place < 0:
            raise ValueError(f"{path} is no language model with its vocabulary")
        words = data[place:].decode("utf-8", "replace").split("\0")
    return [word for word in words if 0 < len(word) <= LONGEST and not word.startswith("<")]
