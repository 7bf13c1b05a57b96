"""Modules are installed and imported in the build: one that cannot be imported ends it."""

import shutil

import pytest

from tests.containers import docker
from tests.unit.role_code import ROOT

INSTALL = ROOT / "images/ppocr/build/install_modules.py"
MODULE = """
from paddlehub.module.module import RunModule, moduleinfo, serving
{line}


@moduleinfo(name="{name}", version="1.0.0", type="cv/text_recognition",
            author="ops", author_email="", summary="Ours")
class Ours(RunModule):
    def __init__(self):
        raise RuntimeError("models are not loaded in a build")
"""


@pytest.fixture
def install(image, tmp_path):
    """Install modules as the Dockerfile does: name by name, each with a line of its own."""

    def run(**modules):
        for name, line in modules.items():
            folder = tmp_path / name
            folder.mkdir()
            (folder / "module.py").write_text(MODULE.format(name=name, line=line))
            (folder / "__init__.py").touch()
        shutil.copyfile(INSTALL, tmp_path / "install_modules.py")
        tmp_path.chmod(0o755)
        prepare = 'python -c "from ppocr_serving import hubhome; hubhome.prepare()"'
        command = f"{prepare} && rm $HUB_HOME/modules && python /m/install_modules.py /m/*/"
        return docker(
            "run", "--rm", "--network=none", "--env=HUB_HOME=/tmp/hub",
            f"--volume={tmp_path}:/m:ro",
            "--entrypoint=/bin/sh", image, "-c", f"{command} && ls $HUB_HOME/modules", check=False,
        )  # fmt: skip

    return run


def test_a_good_module_is_installed_without_loading_its_models(install):
    done = install(good="")
    assert done.returncode == 0 and "good" in done.stdout.split(), done.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("import nothing_here", "ModuleNotFoundError: No module named 'nothing_here'"),
        ("from json import nothing_here", "ImportError: cannot import name 'nothing_here'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import sys; sys.exit('no licence')", "SystemExit: no licence"),
        ("import os; os._exit(3)", "ended its Python (3)"),
    ],
)
def test_one_that_cannot_be_imported_ends_it_with_one_sentence(install, line, said):
    done = install(bad=line, good="")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    told = done.stderr.strip().splitlines()[-1]
    assert said in told and "bad" in told
    if "Exit" not in said and "ended" not in said:
        assert "module.py line 3" in told and "ppocr_image_extra_requirements" in told


def test_every_one_is_named(install):
    done = install(bad="import nothing_here", worse="import neither_here")
    assert "module bad " in done.stderr and "module worse " in done.stderr


def test_one_does_not_lend_another_what_it_lacks(install):
    lends = "import sys, types; sys.modules['lent'] = types.ModuleType('lent')"
    done = install(a_lends=lends, b_borrows="import lent")
    assert "module b_borrows cannot be imported" in done.stderr
