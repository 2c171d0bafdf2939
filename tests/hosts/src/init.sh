# PID 1 of a sandbox: init.sh ROOT [SOURCE PLACE]... -- COMMAND...
# Makes an overlay over ROOT its root, shows each SOURCE at its PLACE there, read-only, and runs the command. Everything
# in the sandbox dies with this process: when the command ends, or the caller closes its end of standard input.
set -eu
exec 3<&0 </dev/null
cd "$1" # The overlay's option then needs no path, in which some characters would have a meaning.
shift
root=/run/root
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/upper /run/work $root
mount -t overlay -o lowerdir=.,upperdir=/run/upper,workdir=/run/work overlay $root
mount --rbind /dev $root/dev

own() { # a new file system: type, place, options
    mkdir -p $root/$2
    mount -t $1 -o ${3:-defaults} $1 $root/$2
}
own proc proc
own sysfs sys
own tmpfs run mode=755
own tmpfs tmp mode=1777
own tmpfs dev/shm mode=1777
# Containers of the tree's, or an overlay on this overlay.
for name in cni containerd containers docker kubelet; do own tmpfs var/lib/$name mode=755; done

while [ "$1" != -- ]; do
    place=$root/$2
    if [ -d "$1" ]; then mkdir -p "$place"; else mkdir -p "${place%/*}" && : >"$place"; fi
    mount --rbind "$1" "$place"
    mount -o remount,bind,ro "$place"
    shift 2
done
shift

if grep -qv '^0:' /proc/self/cgroup; then
    # Version 1 only, even if the machine mounts both: crun refuses a mixture.
    own tmpfs sys/fs/cgroup mode=755
    for controller in cpu cpuacct cpuset memory devices freezer blkio pids; do
        own cgroup sys/fs/cgroup/$controller $controller
    done
    own cgroup sys/fs/cgroup/systemd none,name=systemd
else
    own cgroup2 sys/fs/cgroup
    # A cgroup gives controllers to its children only while it has no process:
    # https://github.com/torvalds/linux/blob/v6.12/Documentation/admin-guide/cgroup-v2.rst#no-internal-process-constraint
    mkdir $root/sys/fs/cgroup/init
    echo 0 >$root/sys/fs/cgroup/init/cgroup.procs
    for controller in $(cat $root/sys/fs/cgroup/cgroup.controllers); do
        echo +$controller >$root/sys/fs/cgroup/cgroup.subtree_control
    done
fi

cd $root
pivot_root . mnt
cd /
umount -l /mnt
mount --make-rshared / # as container engines expect it
PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin
ip link set lo up
{ cat <&3 >/dev/null; kill -KILL -1; } &
cd /tmp
status=0
(
    exec 3<&- 4<&-
    exec env -i PATH=$PATH HOME=/root PAUSE_TIME_FACTOR="${PAUSE_TIME_FACTOR-1}" "$@"
) || status=$?
exit $status
