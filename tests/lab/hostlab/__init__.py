"""Real hosts on one machine: systemd, sshd and a Docker of their own, in containers."""

from .engine import LabError
from .host import Host
from .lab import Lab
from .playbook import PlaybookRun, Playbooks
from .spec import HostSpec

__all__ = ["Host", "HostSpec", "Lab", "LabError", "PlaybookRun", "Playbooks"]
