"""The options, shared by ``pytest smoke_tests`` and ``python -m smoke_tests``."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .draw_samples import SAMPLES_DIR
from .needs import read_params

# A token on a command line is seen by every user of the machine; this variable is not.
TOKEN_VARIABLE = "PPOCR_SMOKE_TOKEN"  # noqa: S105 - the name of a variable, not a secret
HEADER_VARIABLE = "PPOCR_SMOKE_HEADER"
DEFAULT_MODULE = "ocr_system"

OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "--url",
        {
            "metavar": "URL",
            "help": "service under test, http://host:8866 or http://host:8866/predict/<module>",
        },
    ),
    (
        "--module",
        {
            "metavar": "NAME",
            "help": f"module that reads whole pictures (default: {DEFAULT_MODULE}, or the URL's)",
        },
    ),
    (
        "--modules",
        {
            "metavar": "A,B",
            "help": "every module the service is to serve, for example "
            "ocr_system,ocr_det,ocr_cls,ocr_rec (default: the one of --module)",
        },
    ),
    (
        "--token",
        {
            "metavar": "T",
            "help": f"bearer token (rather --token-file or the variable {TOKEN_VARIABLE})",
        },
    ),
    (
        "--params",
        {
            "metavar": "JSON",
            "help": "hubserving_params of the service: samples that these exclude are not sent, "
            "and listed",
        },
    ),
    ("--token-file", {"metavar": "FILE", "help": "file that holds the token"}),
    (
        "--header",
        {
            "metavar": "LINE",
            "help": f"header to send along, 'Name: value' (or the variable {HEADER_VARIABLE})",
        },
    ),
    (
        "--timeout",
        {
            "metavar": "SECONDS",
            "type": float,
            "default": 60.0,
            "help": "longest wait for one answer (default: 60)",
        },
    ),
    (
        "--samples",
        {
            "metavar": "DIR",
            "help": "pictures with a samples.json, or with a NAME.txt beside each NAME.png "
            "(default: the ones that come with the tests)",
        },
    ),
    (
        "--report-dir",
        {
            "metavar": "DIR",
            "help": "write report.html, verdict.json and junit.xml here",
        },
    ),
    ("--instance-name", {"metavar": "NAME", "help": "name shown in table and report"}),
)


@dataclass(frozen=True)
class Settings:
    """What one run of the smoke tests works with; ``timeout`` is in seconds."""

    base_url: str
    module: str
    modules: tuple[str, ...]
    token: str | None
    timeout: float
    samples_dir: Path
    report_dir: Path | None
    instance_name: str
    #: The pipeline's parameters that are not left at their defaults.
    params: dict[str, Any] = field(default_factory=dict)
    #: A header sent along with each request.
    header: dict[str, str] = field(default_factory=dict)

    @property
    def corrected(self) -> bool:
        """Whether lines are answered with what is likely wrong in them."""
        return self.params.get("text_correction") is True

    @property
    def words(self) -> bool:
        """Whether lines are answered with their words."""
        return self.params.get("return_word_box") is True


def split_url(url: str) -> tuple[str, str | None]:
    """Return the base URL and the module named in it, if any.

    Raises ValueError for anything that is not an http or https URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"--url {url!r} is not a URL such as http://192.168.1.10:8866")
    path, _, module = parts.path.partition("/predict/")
    return f"{parts.scheme}://{parts.netloc}{path.rstrip('/')}", module.strip("/") or None


def read_token(token: str | None, token_file: str | None) -> str | None:
    """Return the token to send, from the option, the file or the environment.

    Raises ValueError when the file cannot be read or holds nothing.
    """
    if token and token_file:
        raise ValueError("--token and --token-file exclude each other")
    if not token_file:
        return token or os.environ.get(TOKEN_VARIABLE) or None
    try:
        read = Path(token_file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"--token-file {token_file} cannot be read: {error}") from None
    if not read:
        raise ValueError(f"--token-file {token_file} is empty")
    return read


def read_header(line: str | None) -> dict[str, str]:
    """Return the header to send along, from the option or the environment.

    Raises ValueError when it has no name.
    """
    line = line or os.environ.get(HEADER_VARIABLE) or ""
    name, colon, value = line.partition(":")
    if line and not (name.strip() and colon):
        raise ValueError("--header takes 'Name: value'")
    return {name.strip(): value.strip()} if line else {}


def read_settings(get: Callable[[str], Any]) -> Settings:
    """Return the checked settings; ``get`` gives an option's value by its flag.

    Raises ValueError with one sentence naming the option at fault.
    """
    url = get("--url")
    if not url:
        raise ValueError("--url is needed: the service under test, such as http://host:8866")
    base_url, url_module = split_url(url)
    listed = tuple(name.strip() for name in (get("--modules") or "").split(",") if name.strip())
    module = get("--module") or url_module or DEFAULT_MODULE
    if get("--module") and listed and module not in listed:
        raise ValueError(f"--module {module} is not among --modules {','.join(listed)}")
    timeout = float(get("--timeout"))
    if timeout <= 0:
        raise ValueError("--timeout must be more than 0 seconds")
    samples_dir = Path(get("--samples") or SAMPLES_DIR)
    if not samples_dir.is_dir():
        raise ValueError(f"--samples {samples_dir} is not a folder")
    return Settings(
        base_url=base_url,
        module=module,
        modules=listed or (module,),
        token=read_token(get("--token"), get("--token-file")),
        timeout=timeout,
        samples_dir=samples_dir,
        report_dir=Path(get("--report-dir")) if get("--report-dir") else None,
        instance_name=get("--instance-name") or urlsplit(base_url).netloc,
        params=read_params(get("--params")),
        header=read_header(get("--header")),
    )
