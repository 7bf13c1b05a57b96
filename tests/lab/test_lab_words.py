"""What the lab reads, without a host: specs, and the output of ansible-playbook."""

from __future__ import annotations

import pytest
from hostlab import HostSpec, LabError
from hostlab.playbook import Recap, parse_recap, results


def test_a_spec_that_cannot_be_is_refused() -> None:
    with pytest.raises(LabError, match="suite is 'sarge'"):
        HostSpec("old", suite="sarge")
    with pytest.raises(LabError, match="port is not a number"):
        HostSpec.parse("web:bookworm:root:ssh")


def test_reads_ansible_output() -> None:
    output = (
        "TASK [role : One thing] ****\nok: [a]\nchanged: [b -> localhost] => (item=1)\n"
        "[ERROR]: Task failed\nfatal: [b]: FAILED! => {}\nPLAY RECAP ****\n"
        "a   : ok=1  changed=0  unreachable=0  failed=0  skipped=0  rescued=0  ignored=0\n"
        "b   : ok=0  changed=1  unreachable=0  failed=1  skipped=0  rescued=0  ignored=0\n"
    )
    assert parse_recap(output) == {"a": Recap(ok=1), "b": Recap(changed=1, failed=1)}
    assert list(results(output)) == [
        ("ok", "a", "role : One thing"),
        ("changed", "b", "role : One thing"),
        ("fatal", "b", "role : One thing"),
    ]
    assert parse_recap("killed early") == {}
