#!/usr/bin/env python3
"""Measures sending an image to lab hosts, beside docker save, scp and docker load typed by hand.

    .venv/bin/python tests/bench/ship.py --image NAME                four hosts, some 15 minutes
    .venv/bin/python tests/bench/ship.py --short                     two hosts, a small image
    .venv/bin/python tests/bench/ship.py --image NAME --only kills disk

Bytes are read from this machine's end of each host's link, so they hold everything: handshakes,
checks, acknowledgements. Disk is sampled on the host while it loads.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

import docker
import parcel
from hostlab import Host, HostSpec, Lab, inventory, link, registry
from hostlab.waiting import until

FIRST, CHANGED = "shipbench:1", "shipbench:2"
COMMITTED, AGAIN = "shipbench:committed", "shipbench:again"
STEPS = ("first", "one-file", "nothing", "registry", "kills", "disk", "committed")
TARGETS = {
    "bytes of a one-file change / guide's": 0.001,
    "wall of a one-file change, export included / guide's": 0.1,
    "bytes of one file in a committed layer / guide's": 0.02,
    "wall of one file in a committed layer over the slow links / the layer sent": 1.0,
    "bytes of a first ship / guide's": 0.42,
    "wall of a first ship over the slow links, export included / guide's": 0.3,
    "bytes sent again after a kill / image sent": 0.01,
    "peak extra disk / image": 1.4,
    "no-op, seconds beyond an Ansible ping": 3.0,
}


@dataclass(frozen=True)
class Cost:
    """Seconds, and bytes that reached all hosts together."""

    seconds: float
    sent: int

    def __str__(self) -> str:
        return f"{self.seconds:7.1f} s {self.sent / 1e6:9.2f} MB"


@dataclass
class Bench:
    """One run on one set of hosts."""

    hosts: list[Host]
    folder: Path
    mbit: int
    figures: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.config = parcel.ssh_config(self.folder, self.hosts)
        self.ship = parcel.Shipper(self.folder, self.hosts)
        self.names = [host.name for host in self.hosts]

    def cost(self, work: Callable[[], object]) -> Cost:
        before = [link.sent_to(host) for host in self.hosts]
        started = time.monotonic()
        work()
        seconds = time.monotonic() - started
        after = [link.sent_to(host) for host in self.hosts]
        return Cost(seconds, sum(after) - sum(before))

    def guides_way(self, tag: str) -> None:
        """As typed by hand: one host after another."""
        archive = self.folder / "guide.tar"
        run("docker", "save", "-o", str(archive), tag)
        for host in self.hosts:
            run(
                "scp", "-q", "-F", str(self.config), str(archive), f"{host.name}:/var/tmp/guide.tar"
            )
            run(
                "ssh",
                "-F",
                str(self.config),
                host.name,
                "docker load -q --input /var/tmp/guide.tar",
            )
            host.run("rm /var/tmp/guide.tar")
        archive.unlink()

    def forget(self) -> None:
        """Hosts without the images again."""
        for host in self.hosts:
            names = f"{FIRST} {CHANGED} {COMMITTED} {AGAIN}"
            host.run(f"docker image rm -f {names}; docker image prune -f", check=False)
            host.run(f"rm -rf {parcel.STAGING}")

    def note(self, name: str, value: float, words: str = "") -> None:
        self.figures[name] = value
        target = TARGETS[name]
        verdict = "ok" if value <= target else "MISSED"
        print(f"| {name} | {value:.4g} | <= {target:g} | {verdict} | {words} |", flush=True)

    def first_ship(self) -> None:
        rows: dict[str, Any] = {}
        with link.slowed(*self.hosts, mbit=self.mbit):
            guide = self.cost(lambda: self.guides_way(FIRST))
            self.forget()
            ours = self.cost(lambda: rows.update(self.ship(FIRST, *self.names)))
        for host in self.hosts:
            same = parcel.layers(host, FIRST) == parcel.layers(None, FIRST)
            assert same and parcel.image_id(host, FIRST) == local_id(FIRST)
        words = f"guide {guide}, ours {ours} ({slowest(rows)})"
        self.note("bytes of a first ship / guide's", ours.sent / guide.sent, words)
        name = "wall of a first ship over the slow links, export included / guide's"
        self.note(name, ours.seconds / guide.seconds, f"{words}, {self.mbit} Mbit/s each")

    def one_file(self) -> None:
        self.ship(FIRST, *self.names)  # there already, unless this runs on its own
        ours = self.cost(lambda: self.ship(CHANGED, *self.names))
        for host in self.hosts:
            assert parcel.layers(host, CHANGED) == parcel.layers(None, CHANGED)
            host.run(f"docker image rm {CHANGED}")
        guide = self.cost(lambda: self.guides_way(CHANGED))
        words = f"guide {guide}, ours {ours}"
        self.note("bytes of a one-file change / guide's", ours.sent / guide.sent, words)
        name = "wall of a one-file change, export included / guide's"
        self.note(name, ours.seconds / guide.seconds, f"{words}, links not slowed")

    def committed(self) -> None:
        """The guide's long-lived container, committed, changed in one file, committed again."""
        commit_twice()
        self.ship(COMMITTED, *self.names)
        rows: dict[str, Any] = {}
        with link.slowed(*self.hosts, mbit=self.mbit):
            ours = self.cost(lambda: rows.update(self.ship(AGAIN, *self.names)))
            self.forget_again()
            with without_python(self.hosts):
                layer = self.cost(lambda: self.ship(AGAIN, *self.names))
            self.forget_again()
            guide = self.cost(lambda: self.guides_way(AGAIN))
        self.forget()
        assert all("rebuilt on the host" in row["notes"][-1] for row in rows.values()), rows
        words = f"guide {guide}, the layer {layer}, ours {ours} ({slowest(rows)})"
        self.note("bytes of one file in a committed layer / guide's", ours.sent / guide.sent, words)
        name = "wall of one file in a committed layer over the slow links / the layer sent"
        self.note(name, ours.seconds / layer.seconds, f"the same, {self.mbit} Mbit/s each")

    def forget_again(self) -> None:
        """The second commit is nowhere but in this machine's engine; the hosts had it right."""
        for host in self.hosts:
            assert parcel.layers(host, AGAIN) == parcel.layers(None, AGAIN)
            host.run(f"docker image rm {AGAIN}")
        shutil.rmtree(self.ship.store)

    def nothing_to_do(self) -> None:
        self.ship(FIRST, *self.names)
        hosts_file = inventory.write(self.folder / "hosts.yml", self.hosts)
        ansible = str(Path(sys.executable).parent / "ansible")
        ping = self.cost(lambda: run(ansible, "-i", str(hosts_file), "all", "-m", "ping"))
        rows: dict[str, Any] = {}
        ours = self.cost(lambda: rows.update(self.ship(FIRST, *self.names)))
        assert all(row["sent"] == 0 and not row["changed"] for row in rows.values()), rows
        words = f"ping {ping}, ours {ours}"
        self.note("no-op, seconds beyond an Ansible ping", ours.seconds - ping.seconds, words)

    def kills(self, shares: Sequence[float]) -> None:
        host = self.hosts[0]
        host.run(f"docker image rm -f {FIRST} {CHANGED}; docker image prune -f", check=False)
        run(*self.ship.command("image_layers.py", "fill", FIRST))
        whole = parcel.store_size(self.ship.store, parcel.layers(None, FIRST))
        with link.slowed(host, mbit=self.mbit):
            before = link.sent_to(host)
            for share in shares:
                running = self.ship.start(FIRST, host.name)
                until(lambda want=share: parcel.staged(host) >= want * whole, 300, every=0.1)
                running.kill()
                running.wait()
                time.sleep(2)
            row = self.ship(FIRST, host.name)[host.name]
            total = link.sent_to(host) - before
        again = row["sent"] + row["resumed"] - whole
        wire = total / whole - 1
        words = f"killed at {', '.join(f'{100 * s:.0f} %' for s in shares)}; the wire carried"
        words += f" {total / 1e6:.1f} MB for {whole / 1e6:.1f} MB of layers (+{100 * wire:.1f} %)"
        self.note("bytes sent again after a kill / image sent", max(again / whole, wire), words)

    def disk(self) -> None:
        host = self.hosts[-1]
        size = image_size(FIRST)
        peaks = {}
        for option in ("", "--little-room"):
            host.run(f"docker image rm -f {FIRST} {CHANGED}; docker image prune -f", check=False)
            start = used(host)
            peak = [start]
            over = threading.Event()

            def watch(peak: list[int] = peak, over: threading.Event = over) -> None:
                while not over.is_set():
                    peak[0] = max(peak[0], used(host))
                    time.sleep(0.2)

            watcher = threading.Thread(target=watch)
            watcher.start()
            row = self.ship(FIRST, host.name, *([option] if option else []))[host.name]
            over.set()
            watcher.join()
            assert row["changed"] and peak[0] > start, (row, start, peak)
            peaks[option] = (peak[0] - start) / size
        words = f"with --little-room {peaks['--little-room']:.2f}; image {size / 1e6:.0f} MB"
        self.note("peak extra disk / image", peaks[""], words)

    def registry(self) -> None:
        """The other way with nothing but SSH: a registry here, which hosts reach through it."""
        binary = registry.program(self.folder / "program")
        if binary is None:
            print("| registry pull through ssh -R | | | | no docker-registry on this machine |")
            return
        self.forget()
        rows: dict[str, Any] = {}
        with registry.serving(self.folder, binary) as address:
            wanted = (FIRST, *self.names, "--registry", address, "--mode", "registry")
            with (
                registry.reached_by(address, *self.hosts),
                link.slowed(*self.hosts, mbit=self.mbit),
            ):
                cost = self.cost(lambda: rows.update(self.ship(*wanted)))
        assert all(row["mode"] == "registry" for row in rows.values()), rows
        print(f"| registry pull through ssh -R | | | | {cost} ({slowest(rows)}) |", flush=True)


def slowest(rows: dict[str, Any]) -> str:
    """The seconds of each step, each those of the host that took longest."""
    steps: dict[str, float] = {}
    for row in rows.values():
        for step, seconds in row["steps"].items():
            steps[step] = max(seconds, steps.get(step, 0))
    return ", ".join(f"{step} {seconds:.1f} s" for step, seconds in steps.items())


@contextlib.contextmanager
def without_python(hosts: Sequence[Host]) -> Iterator[None]:
    """Hosts that cannot say what their files hold, so that layers are sent to them."""
    for host in hosts:
        host.run("mv /usr/bin/python3 /usr/bin/python3.away")
    try:
        yield
    finally:
        for host in hosts:
            host.run("mv /usr/bin/python3.away /usr/bin/python3")


def commit_twice() -> None:
    """All of the image's files as one layer above another image, and again with one changed."""
    base = parcel.image("shipbench:under", [b"base", b"under"])
    client = docker.from_env()
    whole, container = (client.containers.create(name, ["/none"]) for name in (FIRST, base))
    try:
        container.put_archive("/", whole.export())
        container.commit(*COMMITTED.split(":"))
        container.put_archive("/", parcel.tar({"change": b"changed\n" * 100}))
        container.commit(*AGAIN.split(":"))
    finally:
        whole.remove()
        container.remove()


def run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def used(host: Host) -> int:
    """Bytes of the engine's files and the staging folder on the host."""
    said = host.run("du -sxcB1 /var/lib/docker /var/lib/ppocr 2>/dev/null | tail -1", check=False)
    return int(said.stdout.split()[0]) if said.stdout else 0


def local_id(tag: str) -> str:
    command = ["docker", "image", "inspect", "--format", "{{.Id}}", tag]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def image_size(tag: str) -> int:
    command = ["docker", "image", "inspect", "--format", "{{.Size}}", tag]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def images(base: str | None) -> None:
    """The image to send, and the same with one file changed on top."""
    if base:
        run("docker", "tag", base, FIRST)
    else:
        text = b"".join(b"line %d of a file that compresses\n" % n for n in range(750_000))
        layers = [text + parcel.noise(12, number) for number in (2, 3, 4)]
        parcel.image(FIRST, [parcel.noise(5, 1), *layers, b"x" * 1000])
    change = b"FROM %s\nCOPY change /change\n" % FIRST.encode()
    parcel.build(CHANGED, {"Dockerfile": change, "change": b"changed\n" * 100})


def main(arguments: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--image", help="a real image to send (default: one of some 90 MB)")
    parser.add_argument("--hosts", type=int, default=4)
    parser.add_argument("--mbit", type=int, default=100, help="of each host's link")
    parser.add_argument("--short", action="store_true", help="two hosts, a small image, one kill")
    parser.add_argument("--only", nargs="+", choices=STEPS, help="these rows, in that order")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    args = parser.parse_args(arguments)
    count = 2 if args.short else args.hosts
    specs = [
        HostSpec(f"bench{n}", suite="bookworm" if n % 2 else "trixie") for n in range(1, count + 1)
    ]
    lab = Lab("shipbench")
    folder = Path(tempfile.mkdtemp(prefix="ppocr-shipbench.", dir="/var/tmp"))
    try:
        images(args.image)
        bench = Bench(lab.up(specs), folder, args.mbit)
        print("| figure | measured | target | | how |\n| --- | --- | --- | --- | --- |", flush=True)
        steps = {
            "first": bench.first_ship,
            "one-file": bench.one_file,
            "nothing": bench.nothing_to_do,
            "registry": bench.registry,
            "kills": lambda: bench.kills([0.5] if args.short else [0.1, 0.5, 0.9]),
            "disk": bench.disk,
            "committed": bench.committed,
        }
        for name in args.only or steps:
            steps[name]()
        if args.json:
            args.json.write_text(json.dumps(bench.figures, indent=1))
        return bench.figures
    finally:
        lab.down()
        shutil.rmtree(folder, ignore_errors=True)
        tags = [FIRST, CHANGED, f"{FIRST}-base", COMMITTED, AGAIN]
        tags += ["shipbench:under", "shipbench:under-base"]
        subprocess.run(["docker", "image", "rm", *tags], capture_output=True, check=False)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the hosts go on the way out
    found = main()
    sys.exit(any(found[name] > TARGETS[name] for name in found))
