"""Compares pages found at half the scale first with pages found at the full one: texts, seconds.

    python -m tests.bench.coarse [--image NAME]      some five minutes

Both are PP-OCRv6-small; one service has det_coarse_first, the other not.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import time
from collections import Counter, defaultdict

from ppocr_control import version

from . import lines, pages, reading, scenes
from .services import ask, laid_out, ours

_PAGES, _HARD, _SEEDS, _SCENES = 12, 40, (1, 2, 3), 4


def drawn() -> list[scenes.Scene]:
    """Pages of the bench, scenes and samples."""
    made = [pages.scene(kind, number) for kind in pages.KINDS for number in range(_PAGES)]
    for page, texts in pages.hard(_HARD):
        made.append(scenes.Scene("hard", tuple(texts), base64.b64decode(page)))
    font = lines.fonts([])[0]
    made += [scene for seed in _SEEDS for scene in scenes.draw(_SCENES, seed, font)]
    return made + reading.samples()


def measure(url: str, made: list[scenes.Scene]) -> dict[str, Counter[str]]:
    """By kind of picture: how many texts, how many read right but for spaces, milliseconds."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for scene in made:
        page = base64.b64encode(scene.picture).decode()
        began = time.monotonic()
        answer = ask(url, page)
        milliseconds = round(1000 * (time.monotonic() - began))
        found = {line["text"].replace(" ", "") for line in answer}
        right = sum(text.replace(" ", "") in found for text in scene.texts)
        counts[scene.kind] += Counter(texts=len(scene.texts), right=right, ms=milliseconds)
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--image", default=f"ppocr:{version.current()}", help="of our service")
    args = parser.parse_args()
    made = drawn()
    first = base64.b64encode(made[0].picture).decode()
    found = {}
    for coarse in (False, True):
        with contextlib.ExitStack() as stack:
            folder = laid_out("PP-OCRv6-small", stack)
            params = folder.with_name("params.json")
            params.write_text(json.dumps({"det_coarse_first": coarse}))
            url = stack.enter_context(ours(first, args.image, folder, params)).url
            measure(url, made[: len(pages.KINDS) * _PAGES])  # prepares what it keeps for shapes
            found[coarse] = measure(url, made)
    print(
        "| pictures | texts | right, full scale | right, half first | ms, full | ms, half first |"
    )
    print("| --- " * 6 + "|")
    for kind, full in found[False].items():
        half = found[True][kind]
        cells = (full["texts"], full["right"], half["right"], full["ms"], half["ms"])
        print(f"| {kind} | {' | '.join(map(str, cells))} |")


if __name__ == "__main__":
    main()
