# Supervisor of a sandbox: supervisor.sh INIT ARGUMENT...
# Makes a cgroup in each hierarchy, runs the script INIT as PID 1 of new namespaces in them, and removes them.
set -eu
init=$1
shift

remove() { # a cgroup and its children, as soon as the kernel has buried their processes
    for attempt in $(seq 50); do
        [ -d "$1" ] || return 0
        find "$1" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.02
    done
    echo "warning: the cgroup $1 remains" >&2
}

cgroups=
while IFS=: read -r id controllers path; do
    case $id in
        0) parent=$(findmnt -rno TARGET -t cgroup2 | head -n 1) ;;
        *) parent=$(findmnt -rno TARGET -t cgroup -O "$controllers" | head -n 1) ;;
    esac
    [ "$parent" ] || continue
    # In version 2 alone, only the root may have both processes and children with controllers.
    if grep -qv '^0:' /proc/self/cgroup; then parent=$parent${path%/}; fi
    for stale in "$parent"/pause-hosts-*; do
        [ -e "/proc/${stale##*-}" ] || remove "$stale"
    done
    cgroup=$parent/pause-hosts-$$
    mkdir "$cgroup"
    cgroups="$cgroups $cgroup"
    # A new cpuset of version 1 is empty and takes no process.
    for file in cpuset.cpus cpuset.mems; do
        if [ -s "$parent/$file" ] || grep -qs . "$parent/$file"; then cat "$parent/$file" >"$cgroup/$file"; fi
    done
done </proc/self/cgroup

exec 4</proc/self/ns/mnt # for `nsenter --mount=/proc/1/fd/4`
status=0
timeout --signal KILL 30m unshare --mount --net --pid --ipc --uts --fork --kill-child sh -c '
    for cgroup in $0; do echo 0 >$cgroup/cgroup.procs; done
    exec unshare --cgroup "$@"' "$cgroups" sh -c "$init" init "$@" || status=$?
for cgroup in $cgroups; do remove "$cgroup"; done
exit $status
