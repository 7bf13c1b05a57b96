"""What text_correction needs in an image: a language model, and a table of alike characters.

The language model is that of Debian's input methods (libime, LGPL-2.1+): words of simplified
Chinese, two million pairs and 0.6 million triples of them. Neither is fetched where no service has
the module.
"""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ppocr_contract.config import TEXT_MODULE
from ppocr_contract.models import ModelError

from .. import IMAGES, downloads
from ..errors import Error
from ..files import file_sha256
from . import alike, model_files, unpack

#: What reads the language model.
LOCK = IMAGES / "ppocr/requirements.correction.lock"
LANGUAGE_MODEL, ALIKE = "zh_CN.lm", "alike.json"
_SETTING = "ppocr_image_language_model"
_PACKAGE, _SUITE = "libime-data-language-model", "bookworm"
_SHA256 = "a9363f915fbefc8ae1ddab3a8147b6c77fdeaa8adb8ab580bc130601d1539665"
_CHARACTERS = {
    "package": "char-similar==0.0.2",
    "sha256": "18d25caff0cd430bb142277320df5061e1997165b1cb8f47bfdc4b5d2ec09adc",
}
#: An archive of ar (5): its first bytes, then for each file a header and its content.
_AR, _AR_HEADER = b"!<arch>\n", 60


def check(language_model: str) -> None:
    """Check the operator's own language model, where there is one.

    Raises:
        ModelError: it does not exist.
    """
    if language_model and not Path(language_model).is_file():
        raise ModelError(f"{_SETTING}: {language_model} is no file on the control node")


def fingerprint(language_model: str) -> list[str]:
    """Return what identifies the data, without fetching anything."""
    own = file_sha256(Path(language_model)) if language_model else _SHA256
    return [own, _CHARACTERS["sha256"], file_sha256(Path(alike.__file__)), file_sha256(LOCK)]


def lay_out(language_model: str, models: Path, cache: Path, mirror: str = "") -> None:
    """Write the data to the folder of the module beside the models.

    Args:
        language_model: a Debian package with one, or its file; empty for Debian's own.
        models: the folder of all models.
        cache: of what is fetched.
        mirror: of Debian packages; empty for mmdebstrap's own.

    Raises:
        ModelError: something cannot be fetched, or is not what it should be.
    """
    folder = models / TEXT_MODULE
    folder.mkdir(parents=True)
    cache.mkdir(parents=True, exist_ok=True)
    source = Path(language_model) if language_model else _fetched(cache, mirror)
    if source.suffix == ".deb":
        _take_out(source, folder / LANGUAGE_MODEL)
    else:
        shutil.copyfile(source, folder / LANGUAGE_MODEL)
    made = cache / f"alike-{file_sha256(Path(alike.__file__))[:12]}.json"
    if not made.is_file():
        part = made.with_suffix(".part")
        part.write_text(json.dumps(_table(cache), ensure_ascii=False, sort_keys=True), "utf-8")
        part.rename(made)
    shutil.copyfile(made, folder / ALIKE)


def _fetched(cache: Path, mirror: str) -> Path:
    """Debian's package, held to its sum."""
    fetch = functools.partial(_download, mirror)
    try:
        return downloads.cached(cache / f"{_SHA256}.deb", _SHA256, _PACKAGE, fetch)
    except Error as error:
        raise ModelError(f"{error}\n{_remedy()}") from error


def _remedy() -> str:
    return f"Set ppocr_apt_mirror or a proxy, or name the package's file in {_SETTING}"


def _download(mirror: str, target: Path) -> None:
    """Fetch the package with the tool that also bootstraps the base image, which verifies it."""
    if not shutil.which("mmdebstrap"):
        raise Error(f"mmdebstrap is needed to fetch {_PACKAGE}: apt-get install mmdebstrap")
    with tempfile.TemporaryDirectory(prefix="ppocr-package.", dir=target.parent) as name:
        hook = f"cd {name} && APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get --quiet download {_PACKAGE}"
        command = [
            "mmdebstrap", "--quiet", "--variant=custom", "--format=null",
            "--aptopt=APT::Sandbox::User \"root\"", f"--customize-hook={hook}", _SUITE, "/dev/null",
            *([mirror] if mirror else []),
        ]  # fmt: skip
        print(f"fetching {_PACKAGE} of {_SUITE}", file=sys.stderr)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        packages = list(Path(name).glob("*.deb"))
        if done.returncode or not packages:
            raise Error(f"{_PACKAGE} cannot be fetched: {done.stderr.strip()[-800:]}")
        packages[0].rename(target)


def _take_out(package: Path, target: Path) -> None:
    """Write the language model of a Debian package to a file."""
    with tempfile.TemporaryDirectory(prefix="ppocr-lm.", dir=target.parent) as name:
        data = Path(name) / "data.tar"
        for title, content in _ar_members(package):
            if title.startswith("data.tar"):
                data.write_bytes(content)
        try:
            for member in unpack.members(data) if data.is_file() else ():
                if member.path.name == LANGUAGE_MODEL:
                    member.copy_to(target)
        except unpack.UnsafeArchive as error:
            raise ModelError(f"{_SETTING}: {package}: {error}") from error
    if not target.is_file():
        raise ModelError(f"{_SETTING}: {package} is no Debian package with a {LANGUAGE_MODEL}")


def _ar_members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the files of an ar archive, as Debian packages are."""
    with archive.open("rb") as file:
        if file.read(len(_AR)) != _AR:
            return
        while len(header := file.read(_AR_HEADER)) == _AR_HEADER:
            size = int(header[48:58])
            yield header[:16].decode("ascii").strip().rstrip("/"), file.read(size)
            file.seek(size % 2, 1)


def _table(cache: Path) -> dict[str, Any]:
    print("comparing the shapes of Chinese characters (half a minute, once)", file=sys.stderr)
    tables = {}
    with tempfile.TemporaryDirectory(prefix="ppocr-alike.", dir=cache) as name:
        for table in alike.TABLES:
            file = Path(name) / table
            path = f"char_similar/data/char_{table}.dict"
            model_files.copy_from_package(_CHARACTERS, path, file, cache)
            tables[table] = json.loads(file.read_text("utf-8"))
    return alike.table(tables)
