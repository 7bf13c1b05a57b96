#!/bin/sh
# Prints the state of a host that may be partly broken, in parts that begin with "== NAME".
# POSIX sh and coreutils alone; it changes nothing, and no command may hang.
# $1: log lines, $2: folder of the configurations, $3: file of the history, $4: of the lock,
# $5: the control node's time, as a number of seconds.
# shellcheck disable=SC2016 # single quotes: for the inner shell
LC_ALL=C
export LC_ALL

part() {
  name=$1
  shift
  printf '\n== %s\n' "$name"
  timeout 20 "$@" 2>&1 </dev/null | head -c 300000
}

part system sh -c 'uname -a; cat /etc/os-release; uptime'
part clock date -u
part clock_skew sh -c 'echo $(($(date +%s) - $1))' sh "$5"
part clock_sync timedatectl show --property=NTPSynchronized --value
part disk df -PkT
part inodes df -Pi
part memory cat /proc/meminfo
part cpu sh -c 'nproc; grep -m1 "model name" /proc/cpuinfo'
part ports sh -c 'ss -Hltnp || cat /proc/net/tcp /proc/net/tcp6'
part gpu nvidia-smi
part docker docker version
part docker_info docker info
part docker_unit systemctl status docker --no-pager --lines=0
part docker_log journalctl --unit docker --no-pager --lines="$1"
part docker_root sh -c 'df -Pk "$(docker info --format "{{.DockerRootDir}}" || echo /var/lib/docker)"'
part daemon_json cat /etc/docker/daemon.json
part kernel_log sh -c 'dmesg | grep -iE "oom|out of memory|nvrm|i/o error" | tail -n 50'
part images docker image ls --digests
part containers sh -c 'docker ps --all --quiet --filter label=org.ppocr.instance | xargs -r docker container inspect'
for id in $(timeout 20 docker ps --all --quiet --filter label=org.ppocr.instance 2>/dev/null); do
  part "log_$id" docker logs --timestamps --tail "$1" "$id"
done
part certificates sh -c 'for file in $(find "$1" -name tls.crt); do
  echo "$file $(openssl x509 -noout -enddate -in "$file")"; done' sh "$2"
part history tail -n 20 "$3"
part lock cat "$4"
