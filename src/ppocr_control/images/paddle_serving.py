"""A model in the form of Paddle Serving: a folder for its server, and one for its client.

Both describe what the model takes and gives (GeneralModelConfig of its general_model_config.proto),
as text and as a message; the server's has the model, too. As ``paddle_serving_client.convert`` of
0.9.0 writes them, but for the program: that is the exported file itself, where convert has Paddle
save it again.
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import protobuf
from .paddle_program import Variable

#: Paddle Serving's number of a type (var_type_conversion) by Paddle's (VarType.Type).
_TYPES = {3: 0, 5: 1, 2: 2, 6: 3, 1: 4, 4: 5, 22: 6, 20: 7, 21: 8, 0: 9, 23: 10, 24: 11}


@dataclasses.dataclass(frozen=True)
class Entry:
    """A variable as GeneralModelConfig has it (FeedVar, FetchVar), in the order of its fields."""

    kind: str  # feed or fetch
    name: str
    alias_name: str
    is_lod_tensor: bool
    data_type: int
    shape: tuple[int, ...]

    def text(self) -> str:
        lines = [
            f'name: "{_escaped(self.name)}"',
            f'alias_name: "{_escaped(self.alias_name)}"',
            f"is_lod_tensor: {str(self.is_lod_tensor).lower()}",
            f"{self.kind}_type: {self.data_type}",
            *(f"shape: {size}" for size in self.shape),
        ]
        return "".join([f"{self.kind}_var {{\n", *(f"  {line}\n" for line in lines), "}\n"])

    def message(self) -> bytes:
        return b"".join([
            protobuf.field(1, self.name.encode()),
            protobuf.field(2, self.alias_name.encode()),
            protobuf.field(3, int(self.is_lod_tensor)),
            protobuf.field(4, self.data_type),
            *(protobuf.field(5, size) for size in self.shape),
        ])  # fmt: skip


def entries(kind: str, variables: Sequence[Variable], aliases: Sequence[str]) -> list[Entry]:
    """The entries of variables, each under its alias; none of these for their own names.

    Raises:
        ValueError: another number of aliases, or a type Paddle Serving has no number for.
    """
    names = list(aliases) or [variable.name for variable in variables]
    if len(names) != len(variables):
        raise ValueError(f"{len(names)} names for {len(variables)}: {_listed(variables)}")
    if odd := [variable for variable in variables if variable.data_type not in _TYPES]:
        raise ValueError(f"a type that Paddle Serving does not know: {_listed(odd)}")
    return [
        Entry(
            kind=kind,
            name=variable.name,
            alias_name=alias,
            is_lod_tensor=variable.lod_level > 0,
            data_type=_TYPES[variable.data_type],
            # Without the sizes that vary; of sequences none is known.
            shape=(-1,) if variable.lod_level else tuple(n for n in variable.shape if n >= 0),
        )
        for variable, alias in zip(variables, names, strict=True)
    ]


def _listed(variables: Sequence[Variable]) -> str:
    return ", ".join(variable.name for variable in variables)


def _escaped(text: str) -> str:
    """As protocol buffers write a text."""
    special = {9: r"\t", 10: r"\n", 13: r"\r", 34: r"\"", 39: r"\'", 92: r"\\"}
    return "".join(
        special.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}")
        for byte in text.encode()
    )


def config_text(described: Sequence[Entry]) -> str:
    """The ``.prototxt``."""
    return "".join(entry.text() for entry in described)


def config_message(described: Sequence[Entry]) -> bytes:
    """The ``.stream.prototxt``."""
    number = {"feed": 1, "fetch": 2}
    return b"".join(protobuf.field(number[entry.kind], entry.message()) for entry in described)


def _config_files(side: str, described: Sequence[Entry]) -> Iterator[tuple[str, bytes]]:
    yield f"serving_{side}_conf.prototxt", config_text(described).encode()
    yield f"serving_{side}_conf.stream.prototxt", config_message(described)


def write(
    described: Sequence[Entry], model: dict[str, Path], server: Path, client: Path
) -> list[Path]:
    """Write both folders; return the files in them.

    Args:
        described: what the model takes and gives.
        model: files of the model, by their names in the server's folder.
        server, client: the folders, which are new or empty.
    """
    for folder, side, files in ((client, "client", {}), (server, "server", model)):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".ppocr-serving.", dir=folder.parent) as aside:
            whole = Path(aside) / "folder"
            whole.mkdir()
            for name, source in files.items():
                shutil.copyfile(source, whole / name)
            for name, content in _config_files(side, described):
                (whole / name).write_bytes(content)
            whole.replace(folder)
    return sorted(path for folder in (server, client) for path in folder.iterdir())
