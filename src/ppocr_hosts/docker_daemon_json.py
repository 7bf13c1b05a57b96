"""Reading, merging and checking the content of dockerd's daemon.json. Pure functions."""

from __future__ import annotations

import json

# Lists that are merged: the host's entries stay and new ones are appended. Any other list is one
# value (exec-opts with two cgroup drivers would contradict itself) and is replaced.
UNION_LISTS = frozenset(
    {
        "allow-nondistributable-artifacts",
        "dns",
        "dns-opts",
        "dns-search",
        "insecure-registries",
        "labels",
        "registry-mirrors",
    }
)

_TYPES = {
    bool: (
        "bridge-accept-fwmark debug experimental icc init ip-forward ip-masq iptables ip6tables "
        "ipv6 live-restore no-new-privileges raw-logs selinux-enabled tls tlsverify "
        "userland-proxy"
    ),
    int: (
        "max-concurrent-downloads max-concurrent-uploads max-download-attempts mtu "
        "network-control-plane-mtu oom-score-adjust shutdown-timeout"
    ),
    str: (
        "bip bridge cgroup-parent containerd data-root default-address-pool default-cgroupns-mode "
        "default-gateway default-gateway-v6 default-ipc-mode default-runtime default-shm-size "
        "exec-root fixed-cidr fixed-cidr-v6 group http-proxy https-proxy init-path ip log-driver "
        "log-level metrics-addr no-proxy pidfile seccomp-profile storage-driver "
        "swarm-default-advertise-addr tlscacert tlscert tlskey userland-proxy-path userns-remap"
    ),
    list: (
        "allow-nondistributable-artifacts authorization-plugins cdi-spec-dirs "
        "default-address-pools dns dns-opts dns-search exec-opts hosts insecure-registries "
        "labels node-generic-resources registry-mirrors storage-opts"
    ),
    dict: (
        "builder containerd-namespaces default-network-opts default-ulimits features log-opts "
        "proxies runtimes"
    ),
}
KNOWN_TYPES = {key: kind for kind, keys in _TYPES.items() for key in keys.split()}
_TYPE_NAMES = {bool: "true or false", int: "a number", str: "a text", list: "a list"}

# Command-line flags of dockerd whose name differs from the key in daemon.json.
_FLAG_KEYS = {
    "add-runtime": "runtimes",
    "authorization-plugin": "authorization-plugins",
    "default-ulimit": "default-ulimits",
    "dns-opt": "dns-opts",
    "exec-opt": "exec-opts",
    "host": "hosts",
    "insecure-registry": "insecure-registries",
    "label": "labels",
    "log-opt": "log-opts",
    "registry-mirror": "registry-mirrors",
    "storage-opt": "storage-opts",
}
_SHORT_FLAGS = {
    "-D": "debug",
    "-G": "group",
    "-H": "hosts",
    "-b": "bridge",
    "-g": "data-root",
    "-l": "log-level",
    "-p": "pidfile",
    "-s": "storage-driver",
}
# dockerd merges these two sources instead of refusing them.
_MERGED_FLAGS = frozenset({"runtimes"})


class BadConfig(ValueError):
    """A configuration that must not be written; the message contains cause and remedy."""


def parse(text, path):
    """Return the dict in text ({} if it is empty, which dockerd also accepts).

    Raises BadConfig with path, line and column.
    """
    text = text.lstrip("\ufeff")
    if not text.strip():
        return {}

    def once(pairs):
        seen = {}
        for key, value in pairs:
            if key in seen:
                raise BadConfig(
                    f"{path} gives {json.dumps(key)} twice; dockerd would silently use the second. "
                    "Remove one"
                )
            seen[key] = value
        return seen

    try:
        config = json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        line = text.splitlines()[error.lineno - 1] if error.lineno <= text.count("\n") + 1 else ""
        raise BadConfig(
            f"{path} is not valid JSON: line {error.lineno}, column {error.colno}: {error.msg}: "
            f"{line.strip()[:120]}. Correct it on the host; it was left as it is"
        ) from error
    if not isinstance(config, dict):
        raise BadConfig(f"{path} is not a JSON object ({{...}}). Correct it on the host")
    return config


def merge(base, over, key=""):
    """Return base with over merged into it recursively; neither is changed.

    Dicts are merged, lists in UNION_LISTS joined (entries of base first), everything else is
    replaced. null in over removes the key.
    """
    if isinstance(base, dict) and isinstance(over, dict):
        merged = dict(base)
        for name, value in over.items():
            if value is None:
                merged.pop(name, None)
            elif name in merged:
                merged[name] = merge(merged[name], value, name)
            elif isinstance(value, dict):
                merged[name] = merge({}, value, name)
            else:
                merged[name] = value
        return merged
    if key in UNION_LISTS and isinstance(base, list) and isinstance(over, list):
        return base + [item for item in over if item not in base]
    return over


def desired(host, fragments, operator, defaults, use_defaults):
    """Return the complete configuration: the host's, then each fragment, then the operator's.

    Each of defaults is merged only if none of its top-level keys is set, and only if something else
    changes as well or use_defaults is true.
    """
    result = host
    for fragment in [*fragments, operator]:
        result = merge(result, fragment)
    if not use_defaults and result == host:
        return result
    named = {key for part in [*fragments, operator] for key in part}
    for default in defaults:
        if not any(key in result or key in named for key in default):
            result = merge(result, default)
    return result


def type_errors(config):
    """Return one sentence for each key whose value has the wrong type for dockerd."""
    errors = []
    for key, value in sorted(config.items()):
        kind = KNOWN_TYPES.get(key)
        if kind is None:
            continue
        right = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        if not right:
            name = _TYPE_NAMES.get(kind, "a mapping")
            errors.append(f"{key} must be {name}, not {json.dumps(value)}")
        elif key in UNION_LISTS and not all(isinstance(item, str) for item in value):
            errors.append(f"{key} must be a list of texts, not {json.dumps(value)}")
    for name, value in (config.get("log-opts") or {}).items() if not errors else ():
        if not isinstance(value, str):
            errors.append(f"log-opts.{name} must be a text: write {json.dumps(str(value))}")
    return errors


def flag_keys(argv):
    """Return {key of daemon.json: flag} for the flags in dockerd's command line."""
    found = {}
    for argument in argv[1:]:
        if argument.startswith("--"):
            name = argument[2:].partition("=")[0]
            found[_FLAG_KEYS.get(name, name)] = "--" + name
        elif argument[:2] in _SHORT_FLAGS:
            found[_SHORT_FLAGS[argument[:2]]] = argument[:2]
    return found


def flag_conflicts(config, argv):
    """Return one sentence for each key that is also set on dockerd's command line."""
    return [
        f"{key} is also given to dockerd as the flag {flag}, and dockerd refuses to start with both"
        for key, flag in sorted(flag_keys(argv).items())
        if key in config and key not in _MERGED_FLAGS
    ]


def render(config):
    """Return config as the text of a daemon.json."""
    return json.dumps(config, indent=2, ensure_ascii=False) + "\n"
