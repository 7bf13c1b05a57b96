"""A lab host that speaks German."""

from __future__ import annotations

import pytest
from hostlab import Host, HostSpec


@pytest.fixture(scope="module")
def german(lab) -> Host:
    """Packages with their translations, and German for every login and for what sudo starts."""
    host = lab.hosts(HostSpec("german", user="ops", sudo="password", port=2222))[0]
    packages = "sudo apt dpkg bash coreutils libpam0g libc-bin"
    host.run(
        "sed -i '/share.locale/d' /etc/dpkg/dpkg.cfg.d/* && apt-get -qq update && "
        f"apt-get -qq install locales && apt-get -qq install --reinstall {packages} && "
        "echo 'de_DE.UTF-8 UTF-8' >/etc/locale.gen && locale-gen && "
        "printf 'LANG=de_DE.UTF-8\\nLANGUAGE=de\\nLC_ALL=de_DE.UTF-8\\n' >/etc/default/locale && "
        "cp /etc/default/locale /etc/environment",
        timeout=600,
    )
    assert "Passwort" in host.ssh("sudo -n true", check=False).stderr
    return host
