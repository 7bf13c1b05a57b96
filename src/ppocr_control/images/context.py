"""The build contexts of the images, and the hash of their sources.

The hash (label ``org.ppocr.content``) needs only the sources, so it is known before anything is
fetched or built whether a host already has the image.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

from ppocr_contract import cards, config, paddle

from .. import IMAGES, ROOT, git
from .. import version as project_version
from ..errors import Refused
from ..files import file_sha256
from ..tarfiles import without_owner_and_time
from . import correction, hub_modules, image_name, model_files, models

#: The package shared with the image.
CONTRACT = ROOT / "src/ppocr_contract"
#: The packages that turn Paddle's models into ONNX.
CONVERTER_LOCK = IMAGES / "ppocr/requirements.convert.lock"
#: What the variant with Paddle has besides requirements.lock.
PADDLE_LOCK = IMAGES / "ppocr/requirements.paddle.lock"
#: What the trainer image and the control node share.
TRAINING = ROOT / "src/ppocr_training"
#: The images, and the files of their folder that the context has beside the Dockerfile.
_RECIPES = {"ppocr": ("config.json", "ppocr.pth"), "trainer": ("trainer.pth",)}
#: Makes the Python environment of either image, and is kept with the first.
_ENVIRONMENT = ("environment.py", "make_venv.py", "harden.py", "prune.txt")
#: The image label with the hash of its sources.
CONTENT_LABEL = "org.ppocr.content"
#: The suite that images/base bootstraps; the lock was made for its Python.
BASE_SUITE = "bookworm"
_IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")


class ContextError(Exception):
    """The context cannot be created; the message names the setting."""


@dataclasses.dataclass(frozen=True)
class ImageSettings:
    """The settings that determine the content of an image.

    Attributes:
        recipe: ppocr (the service) or trainer; a folder of images/.
        device: cpu or gpu; chooses the lock, on gpu together with engines.
        paddle: whether it is the variant with Paddle.
        name: repository of the image; not part of the content.
        version: image tag and OCI version.
        base: name of a base image; empty to bootstrap one.
        models, recognizers: see :mod:`ppocr_control.images.models`.
        engines: of the instances that will serve from it; none for the device's own. What they can
            read decides which models are the default. The image for GPUs carries one.
        use_space_char: false where an instance sets that parameter so; not part of the content.
        extra_modules: folders of additional PaddleHub modules; one with the name of a built-in
            module replaces it.
        extra_requirements: pip requirements for them, in addition to their requirements.txt.
        ca_bundle: trusted while building; not part of the content.
        text_correction: whether a service has that module.
        language_model: for it; empty for Debian's.
        apt_mirror: where that is fetched; not part of the content.
    """

    recipe: str = "ppocr"
    device: str = "cpu"
    paddle: bool = False
    name: str = "ppocr"
    version: str = dataclasses.field(default_factory=project_version.current)
    base: str = ""
    models: dict[str, Any] | str = dataclasses.field(default_factory=dict)
    recognizers: dict[str, Any] = dataclasses.field(default_factory=dict)
    engines: tuple[str, ...] = ()
    use_space_char: bool = True
    extra_modules: tuple[str, ...] = ()
    extra_requirements: tuple[str, ...] = ()
    ca_bundle: str = ""
    text_correction: bool = False
    language_model: str = ""
    apt_mirror: str = ""

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ImageSettings:
        known = {field.name for field in dataclasses.fields(cls)}
        settings = cls(**{key: value for key, value in values.items() if key in known})
        if settings.recipe not in _RECIPES:
            raise ContextError(
                f"ppocr_image_recipe: {settings.recipe!r} is none of {', '.join(_RECIPES)}"
            )
        try:
            image_name.for_new(f"{settings.name}:{settings.version}")
        except Refused as error:
            raise ContextError(f"ppocr_image_name, ppocr_image_tag: {error}") from error
        try:
            hub_modules.custom_modules(settings.extra_modules)
        except hub_modules.ModuleError as error:
            raise ContextError(str(error)) from error
        if settings.without_paddle and (why := settings.why_paddle()):
            raise ContextError(
                f"{why}, and the image would have no Paddle: leave ppocr_image_paddle at auto "
                "(build_image.py: --paddle)"
            )
        if settings.ca_bundle and not Path(settings.ca_bundle).is_file():
            raise ContextError(f"ppocr_ca_bundle: {settings.ca_bundle} does not exist")
        return settings

    def sources(self) -> dict[str, dict[str, Any]]:
        """Where the models come from; raises ModelError for what cannot be served."""
        correction.check(self.language_model)
        sources = models.resolve(
            self.models, self.recognizers, self.use_space_char, self.serving_engines
        )
        programs = {place: model_files.program_of(source) for place, source in sources.items()}
        models.check_engines(programs, sources, self.serving_engines)
        return sources

    @property
    def gpu_engine(self) -> str:
        """The engine that the image carries for cards; empty for the CPU."""
        return cards.engine_of(self.engines) if self.device == "gpu" else ""

    @property
    def serving_engines(self) -> tuple[str, ...]:
        """What loads the models."""
        return self.engines or (config.default_engine(self.device == "gpu"),)

    def model_names(self) -> str:
        """What the models are called; see :func:`models.names`."""
        return models.names(self.models, self.recognizers, self.serving_engines)

    @property
    def without_paddle(self) -> bool:
        """Whether the image has no Paddle."""
        return self.recipe == "ppocr" and not (self.paddle or self.gpu_engine == "paddle")

    def why_paddle(self) -> str:
        """Why what is in the image, or serves from it, needs Paddle; empty if nothing does."""
        if "paddle" in self.engines:
            return "hubserving_engine is paddle"
        return hub_modules.why_paddle(self.extra_modules, self.extra_requirements)

    @property
    def paddle_lock(self) -> bytes:
        """What is installed as the layer of Paddle: nothing where the lock of the engine has it."""
        return PADDLE_LOCK.read_bytes() if self.paddle and self.gpu_engine != "paddle" else b""

    @property
    def lock(self) -> Path:
        gpu = "gpu" if self.gpu_engine == "paddle" else f"{self.gpu_engine}-gpu"
        named = {"cpu": "requirements.lock", "gpu": f"requirements.{gpu}.lock"}
        path = IMAGES / self.recipe / named.get(self.device, "")
        if not path.is_file():
            setting = "ppocr_device" if self.recipe == "ppocr" else "trainer_device"
            raise ContextError(f"{setting}: no image is defined for {self.device!r}")
        return path


def _files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    )


def _digest(parts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _tree(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in _files(folder)}


def base_tag(settings: ImageSettings) -> str:
    """Return the base image's name: the configured one, or one that changes with the recipe."""
    if settings.base:
        return settings.base
    return f"ppocr-base:{BASE_SUITE}-{_digest(_tree(IMAGES / 'base'))[:12]}"


def kernels(settings: ImageSettings) -> str:
    """Return the cards the image's engine must have kernels for, as an argument of its build."""
    engine = settings.gpu_engine
    return " ".join(cards.LIBRARIES[engine].kernels) if engine else ""


def paddle_label(settings: ImageSettings) -> str:
    """Return what the image's label says of Paddle."""
    return paddle.WITHOUT if settings.without_paddle else paddle.WITH


def content_hash(settings: ImageSettings) -> str:
    """Return the sha256 over everything that determines what the image does."""
    recipe = IMAGES / settings.recipe
    named = ("Dockerfile", *_RECIPES[settings.recipe])
    parts: dict[str, Any] = {
        "base": base_tag(settings),
        "version": settings.version,
        "recipe": {name: file_sha256(recipe / name) for name in named},
        "lock": file_sha256(settings.lock),
        "extra_requirements": settings.extra_requirements,
    }
    if settings.recipe == "trainer":
        build = IMAGES / "ppocr/build"
        parts["build"] = {name: file_sha256(build / name) for name in _ENVIRONMENT}
        parts["training"] = [_tree(recipe / "training"), _tree(TRAINING)]
        return _digest(parts)
    modules = hub_modules.all_modules(settings.extra_modules)
    parts |= {
        "converter": file_sha256(CONVERTER_LOCK),
        "paddle": hashlib.sha256(settings.paddle_lock).hexdigest(),
        "build": _tree(recipe / "build"),
        "serving": _tree(recipe / "serving"),
        "contract": _tree(CONTRACT),
        "modules": {name: _tree(folder) for name, folder in modules.items()},
        "models": models.fingerprint(settings.sources()),
    }
    if settings.text_correction:
        parts["text_correction"] = correction.fingerprint(settings.language_model)
    return _digest(parts)


def revision() -> str:
    """Return the commit of this repository, ``unknown`` outside git."""
    described = git.output("describe", "--always", "--dirty", "--abbrev=40")
    return described.decode().strip() or "unknown"


def write(settings: ImageSettings, target: Path, cache: Path) -> None:
    """Write the context to ``target``, a new folder.

    Raises:
        ContextError: a setting is wrong.
        ModelError: a model cannot be fetched or is incomplete.
    """
    recipe = IMAGES / settings.recipe
    target.mkdir(parents=True)
    for name in ("Dockerfile", *_RECIPES[settings.recipe]):
        shutil.copyfile(recipe / name, target / name)
    shutil.copyfile(settings.lock, target / "requirements.lock")
    shutil.copytree(IMAGES / "ppocr/build", target / "build", ignore=_IGNORED)
    wanted = list(settings.extra_requirements)
    if settings.recipe == "trainer":
        shutil.copytree(recipe / "training", target / "training", ignore=_IGNORED)
        shutil.copytree(TRAINING, target / "training" / TRAINING.name, ignore=_IGNORED)
    else:
        _write_service(settings, target, cache)
        wanted += hub_modules.requirements(settings.extra_modules)
    (target / "extra-requirements.txt").write_text("\n".join(wanted))
    bundle = target / "build/ca-bundle.crt"
    bundle.write_bytes(Path(settings.ca_bundle).read_bytes() if settings.ca_bundle else b"")
    for path in (target, *target.rglob("*")):
        # The builder's umask must not determine what the container's user may read.
        path.chmod(0o755 if path.is_dir() else 0o644)


def _write_service(settings: ImageSettings, target: Path, cache: Path) -> None:
    """Add what only the service's image holds."""
    shutil.copytree(IMAGES / "ppocr/serving", target / "serving", ignore=_IGNORED)
    shutil.copytree(CONTRACT, target / "serving" / CONTRACT.name, ignore=_IGNORED)
    for name, folder in hub_modules.all_modules(settings.extra_modules).items():
        shutil.copytree(folder, target / "modules" / name, ignore=_IGNORED)
    if settings.text_correction:
        correction.lay_out(settings.language_model, target / "models", cache, settings.apt_mirror)
        with (target / "requirements.lock").open("ab") as packages:
            packages.write(correction.LOCK.read_bytes())
    sources = settings.sources()
    programs = models.programs(models.lay_out(sources, target / "models", cache))
    models.check_engines(programs, sources, settings.serving_engines)
    convert = models.to_convert(programs, onnx_only=settings.gpu_engine == "onnxruntime")
    (target / "convert.txt").write_text("\n".join(convert))
    # Empty where no model needs converting, so that nothing is downloaded for it.
    lock = CONVERTER_LOCK.read_bytes() if convert else b""
    (target / CONVERTER_LOCK.name).write_bytes(lock)
    (target / PADDLE_LOCK.name).write_bytes(settings.paddle_lock)


def pack(folder: Path, archive: Path) -> None:
    """Write ``folder`` as a tar whose bytes depend only on its files."""
    with tarfile.open(archive, "w") as tar:
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            tar.add(path, name, recursive=False, filter=without_owner_and_time)
