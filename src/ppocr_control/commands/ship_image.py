"""Sends an image to hosts over SSH: only the layers each lacks, compressed once for all of them.

It resumes an interrupted run, verifies every layer before loading, and compares the result in the
host's engine with the original. A host needs sshd, coreutils, and Docker or containerd; with
Docker, root and python3, a large layer with few changes is sent as its changes.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from .. import command_line
from ..errors import OK, Refused
from ..images import image_name
from ..layers.source import open_source
from ..layers.store import LayerStore
from ..progress import Progress, megabytes
from ..shipping import relay, staging
from ..shipping.engines import engine
from ..shipping.fleet import Fleet
from ..shipping.job import MODES, Job, Supply
from ..shipping.plan import Plan
from ..shipping.result import Result
from ..ssh import login_options
from ..ssh.host import SshHost
from ..ssh.transport import Transport

EPILOG = """\
examples:
  scripts/ship_image.py ppocr:1.0.0 web1 ops@web2:2222
  scripts/ship_image.py ppocr_1.0.tar web1 web2 web3 -P 2222 -J jump.example
  scripts/ship_image.py ppocr:1.0.0 web1 --dry-run
  scripts/ship_image.py ppocr:1.0.0 web1 --mode whole --json
  scripts/ship_image.py ppocr:1.0.0 far1 far2 far3 --relay far1
  scripts/ship_image.py ppocr:1.0.0 node1 node2 --ctr 'ctr --namespace k8s.io'
"""


def parse(arguments: list[str] | None = None) -> Namespace:
    parser = command_line.parser(__doc__, EPILOG)
    parser.add_argument(
        "image", help="name of an image on this machine, or a file from docker save"
    )
    parser.add_argument(
        "hosts", nargs="+", metavar="HOST", help="[user@]host[:port], or a name of your SSH config"
    )
    parser.add_argument(
        "--mode",
        choices=MODES,
        default="auto",
        help="delta: only missing layers; whole: everything, for any engine; registry: push once, "
        "hosts pull by digest; auto: registry if --registry is given, else delta",
    )
    parser.add_argument(
        "--registry", default="", metavar="HOST[:PORT][/PATH]", help="a registry of your own"
    )
    parser.add_argument(
        "--relay", default="", metavar="HOST",
        help="one of the hosts: it receives missing layers once, and the other hosts fetch them "
        "from it (plain HTTP, a token of this run, sha256); all need python3",
    )  # fmt: skip
    parser.add_argument(
        "--relay-address", default="", metavar="ADDRESS",
        help="its address for the other hosts (default: its address for this machine)",
    )  # fmt: skip
    parser.add_argument(
        "--relay-port", type=int, default=relay.PORT, metavar="PORT",
        help="its port (default: %(default)s; 0: any free port)",
    )  # fmt: skip
    parser.add_argument(
        "--tag", action="append",
        help="its name on hosts (default: IMAGE, or the names in the file; repeatable)",
    )  # fmt: skip
    parser.add_argument(
        "--staging",
        metavar="FOLDER",
        help="staging folder on hosts; layers are stored in its subfolder "
        f"{staging.NAME} (default: {staging.ROOTS}; without root ~{staging.USERS})",
    )
    parser.add_argument(
        "--little-room",
        action="store_true",
        help="remove staged layers while they load, as is done automatically if disk space is "
        "short; after a failure they are sent again",
    )
    parser.add_argument(
        "--ctr", default="", metavar="COMMAND",
        help="hosts have containerd without Docker, as nodes of Kubernetes do: its command there, "
        "such as 'ctr --namespace k8s.io', or 'k3s ctr --namespace k8s.io'",
    )  # fmt: skip
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="probe the hosts and print the steps; nothing is prepared or sent",
    )
    parser.add_argument(
        "--at-once",
        type=int,
        default=20,
        metavar="N",
        help="hosts served at the same time (default: 20)",
    )
    parser.add_argument("--cache-limit", type=float, default=20, metavar="GB",
                        help="maximum size of the store (default: 20)")  # fmt: skip
    command_line.add_store(parser)
    login_options.add_arguments(parser)
    return parser.parse_args(arguments)


def staging_of(host: Transport, given: str | None) -> str:
    """Return the staging folder of a host."""
    assert isinstance(host, SshHost)
    return given or (staging.ROOTS if host.is_root else f"{host.home}{staging.USERS}")


def relay_of(args: Namespace, hosts: list[SshHost]) -> relay.RelayHost | None:
    """Return the relay of the options; raises Refused if it is not one of the hosts."""
    if not args.relay:
        return None
    host = next((host for host in hosts if host.name == args.relay), None)
    if host is None:
        raise Refused(
            f"--relay {args.relay} is not one of the hosts of this command: add it to them"
        )
    return relay.RelayHost(host.name, args.relay_address or host.address, args.relay_port)


def summary(done: Sequence[Result | Plan]) -> str:
    """Return the summary of each host, and the total sent."""
    lines = [each.summary() for each in done]
    results = [each for each in done if isinstance(each, Result)]
    if not results:
        return "\n".join([*lines, f"{len(done)} hosts, nothing was sent (--dry-run)"])
    sent = sum(result.sent for result in results)
    relayed = sum(result.relayed for result in results)
    total = f"{len(results)} hosts, {megabytes(sent)} sent"
    return "\n".join([*lines, f"{total}, {megabytes(relayed)} relayed" if relayed else total])


def work(args: Namespace) -> tuple[int, Any, str]:
    login = login_options.from_arguments(args)
    progress = Progress("sending", quiet=args.quiet)
    store = LayerStore(args.store)
    hosts = [SshHost(name, login) for name in dict.fromkeys(args.hosts)]
    try:
        with open_source(args.image) as source:
            names = args.tag or list(source.image.tags)
            for name in names:
                image_name.for_new(name)
            if not names:
                raise Refused(f"{args.image} has no name: give one with --tag")
            if args.mode == "registry" and not args.registry:
                raise Refused("--mode registry needs a registry: name it with --registry")
            if args.registry and args.ctr:
                raise Refused("--registry is for hosts with Docker: leave out --registry or --ctr")
            supply = Supply(source.image, store, lambda: nullcontext(source), progress)
            job = Job(
                source.image, names, supply, lambda host: staging_of(host, args.staging), progress,
                args.mode, True if args.little_room else None, engine(args.ctr),
            )  # fmt: skip
            fleet = Fleet(job, hosts, args.registry, relay_of(args, hosts), args.at_once)
            done: Sequence[Result | Plan]
            if args.dry_run:
                done = fleet.plans()
            else:
                done = fleet.ship(source)
                store.prune(int(args.cache_limit * 1e9))
    finally:
        progress.close()
        for host in hosts:
            host.close()
    status = max((each.status for each in done), default=OK)
    return status, {"hosts": [each.as_dict() for each in done]}, summary(done)


def main(arguments: list[str] | None = None) -> int:
    args = parse(arguments)
    return command_line.run(args, work)
