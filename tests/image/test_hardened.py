"""What an intruder would look for in the image is not there."""

import pytest

from tests.containers import docker

_RUN = ("run", "--rm", "--network=none", "--user=0:0", "--entrypoint")
#: By name, wherever they lie.
TOOLS = (
    "perl",
    "apt",
    "apt-get",
    "dpkg",
    "dpkg-query",
    "debconf",
    "pip",
    "pip3",
    "rpm",
    "yum",
    "apk",
)


def test_no_file_lets_a_user_become_another(image):
    find = "find / -xdev -type f -perm /6000"
    assert docker(*_RUN, "/bin/sh", image, "-c", find).stdout == ""


@pytest.mark.parametrize("tool", TOOLS)
def test_it_installs_nothing(image, tool):
    look = f"command -v {tool}; find / -xdev -name {tool} -perm /111 -type f"
    assert docker(*_RUN, "/bin/sh", image, "-c", look, check=False).stdout == ""


@pytest.mark.parametrize("python", ["/opt/ppocr/venv/bin/python", "/usr/bin/python3"])
@pytest.mark.parametrize("module", ["pip", "ensurepip"])
def test_no_python_installs_anything_either(image, python, module):
    done = docker(*_RUN, python, image, "-m", module, "--version", check=False)
    assert done.returncode != 0 and f"No module named {module}" in done.stderr


def test_its_packages_are_still_listed(image):
    status = docker(*_RUN, "/bin/cat", image, "/var/lib/dpkg/status").stdout
    assert "Package: libc6\n" in status and "Package: dpkg\n" not in status
    program = "import importlib.metadata as m; print(*(found.name for found in m.distributions()))"
    listed = docker(*_RUN, "/opt/ppocr/venv/bin/python", image, "-c", program).stdout.split()
    assert {"openvino", "paddlehub"} <= set(listed) and not {
        "pip",
        "setuptools",
        "paddlepaddle",
    } & set(listed)
