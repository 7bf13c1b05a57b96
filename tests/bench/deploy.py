#!/usr/bin/env python3
"""Measures a deploy of bare lab hosts, beside the guide's commands typed by a script.

    .venv/bin/python tests/bench/deploy.py     four hosts, some 15 minutes; nothing else running

The control node has the image (scripts/deploy builds it), as it does for every host but the first.
The guide pulls an image of Paddle's from a registry, which tests cannot reach: a base of Debian and
Python stands in for it, which is loaded from a file, and gets Paddle by pip. That is less to fetch
than the guide's image, so the ratio flatters the guide.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from hostlab import Host, HostSpec, Lab, Playbooks
from hostlab.playbook import PlaybookRun
from hostlab.root import MACHINE_CAS

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = "playbooks/deploy.yml"
PORT = 8866
TARGETS = {
    "bare host to verdict / the guide's commands": 0.5,
    "second deploy of four hosts / of one": 1.5,
    "lines a second deploy of one host prints": 60,
}
#: What an operator sees; the lab's runs print every task otherwise.
AS_PEOPLE_SEE_IT = {"ANSIBLE_STDOUT_CALLBACK": "ppocr_brief", "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "no"}
IN_CONTAINER = """set -e
export PIP_CERT=/guide/ca.crt HUB_HOME=/root/hub
python3 -m venv /opt/venv
/opt/venv/bin/pip install --quiet --no-deps --require-hashes -r /guide/bench/requirements.lock
mkdir -p $HUB_HOME/conf
cat >$HUB_HOME/conf/config.yaml <<END
server: http://127.0.0.1:9
log: {{enable: true, level: INFO}}
END
sed -i s,@BENCH@,/guide/bench, /guide/bench/ocr_system/module.py
/opt/venv/bin/hub install /guide/bench/ocr_system
nohup /opt/venv/bin/hub serving start -m ocr_system -p {port} >/guide/log 2>&1 &
"""


def run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def guides_way(host: Host, base: str, folder: Path) -> float:
    """Seconds from a bare host to an answer of the guide's service."""
    started = time.monotonic()
    host.run("apt-get update -qq && apt-get install -qq --yes docker.io curl", timeout=900)
    run("docker", "save", "-o", str(folder / "base.tar"), base)
    host.put("/root/base.tar", folder / "base.tar")
    host.run("docker load -q --input /root/base.tar")
    for name in ("bench", "stock"):
        source = folder / f"{name}.tar"
        run("tar", "-cf", str(source), "-C", str(ROOT / "tests"), name)
        host.put(f"/opt/guide/{name}.tar", source)
        host.run(f"tar -xf /opt/guide/{name}.tar -C /opt/guide")
    host.put("/opt/guide/ca.crt", MACHINE_CAS if MACHINE_CAS.is_file() else "")
    host.put("/opt/guide/page.json", ROOT / "smoke_tests/samples/image.json")
    host.put("/opt/guide/steps.sh", IN_CONTAINER.format(port=PORT))
    host.run(
        f"docker run --name guide --network=host --volume=/opt/guide:/guide -itd {base} /bin/bash"
    )
    host.run("docker exec guide sh /guide/steps.sh", timeout=1800)
    ask = f"curl -sS -H 'Content-Type: application/json' -d @/opt/guide/page.json localhost:{PORT}"
    host.wait_for(f'{ask}/predict/ocr_system | grep \'"status":"000"\'', timeout=300, every=0.5)
    return time.monotonic() - started


def deploy(playbook: Playbooks, hosts: list[Host], second: bool = False) -> PlaybookRun:
    """Deploy to hosts; where it is the second time nothing may change."""
    done = playbook(DEPLOY, hosts, env=AS_PEOPLE_SEE_IT)
    if second:
        done.assert_unchanged()
    return done


def base_image() -> str:
    """The name of the base that scripts/deploy built."""
    images = ["docker", "image", "ls", "--format={{.Repository}}:{{.Tag}}", "ppocr-base"]
    return subprocess.check_output(images, text=True).split()[0]


def measure(hosts: list[Host], folder: Path) -> dict[str, float]:
    """The figures by their names in TARGETS; prints what they are made of."""
    playbook = Playbooks(folder / "runs")
    guide = guides_way(hosts[0], base_image(), folder)
    print(f"the guide's commands: {guide:.0f} s", flush=True)
    first = deploy(playbook, hosts[1:2])
    print(f"bare host to verdict: {first.seconds:.0f} s", flush=True)
    hosts[0].run("docker rm --force guide")
    deploy(playbook, hosts)
    again = deploy(playbook, hosts[1:2], second=True)
    four = deploy(playbook, hosts, second=True)
    print(
        f"second deploy of one host: {again.seconds:.0f} s, of {len(hosts)}: {four.seconds:.0f} s"
    )
    lines = [line for line in again.stdout.splitlines() if line.strip()]
    return dict(
        zip(TARGETS, (first.seconds / guide, four.seconds / again.seconds, len(lines)), strict=True)
    )


def main(arguments: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="also write the figures there")
    args = parser.parse_args(arguments)
    lab = Lab("deploybench")
    folder = Path(tempfile.mkdtemp(prefix="ppocr-deploybench.", dir="/var/tmp"))
    (folder / "runs").mkdir()
    try:
        figures = measure(lab.up([HostSpec(f"d{n}", engine="none") for n in range(1, 5)]), folder)
        print("| figure | measured | target | |\n| --- | --- | --- | --- |")
        for name, value in figures.items():
            verdict = "ok" if value <= TARGETS[name] else "MISSED"
            print(f"| {name} | {value:.3g} | <= {TARGETS[name]:g} | {verdict} |")
        if args.json:
            args.json.write_text(json.dumps(figures, indent=1))
        return figures
    finally:
        lab.down()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the hosts go on the way out
    found = main()
    sys.exit(any(found[name] > TARGETS[name] for name in found))
