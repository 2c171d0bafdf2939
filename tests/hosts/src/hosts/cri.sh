# Prepares a sandbox for a daemon, containerd or crio, and starts it: sh -c SCRIPT DAEMON. The programs in /usr/local/sbin
# come before the host's own in PATH.
cat >/usr/local/sbin/runc <<'EOF'
#!/bin/sh
# runc or crun for a machine whose root may not lower an OOM score: it lacks CAP_SYS_RESOURCE.
for bundle; do
    if [ -f "$bundle/config.json" ]; then
        sed -i 's/"oomScoreAdj": *-[0-9]*/"oomScoreAdj": 0/' "$bundle/config.json"
    fi
done
PATH=/usr/sbin:/usr/bin
exec "${0##*/}" "$@"
EOF
cp /usr/local/sbin/runc /usr/local/sbin/crun
cat >/usr/local/sbin/systemctl <<'EOF'
#!/bin/sh
# `systemctl restart` of containerd and CRI-O, and `systemctl reload crio`, without systemd.
log=/tmp/$2.log
reloads() { grep -ci 'configuration reload completed\|unable to reload configuration' $log; }
if [ $1 = reload ]; then
    before=$(reloads)
    busybox killall -HUP $2
    while [ $(reloads) = $before ]; do sleep 0.1; done
    exit
fi
busybox killall -q $2
while busybox pidof $2; do sleep 0.1; done >/dev/null
$2 >>$log 2>&1 &
while kill -0 $!; do
    case $2 in
        containerd) ctr --connect-timeout 1s version ;;
        crio) crio status info ;;
    esac && exit
    sleep 0.1
done >/dev/null 2>&1
tail $log >&2
exit 1
EOF
chmod +x /usr/local/sbin/*
# The pods' network: an address each, and no way out.
mkdir -p /etc/cni/net.d
cat >/etc/cni/net.d/pods.conflist <<'EOF'
{
    "cniVersion": "0.4.0", "name": "pods", "plugins": [{
        "type": "bridge", "bridge": "pods", "ipam": { "type": "host-local", "subnet": "10.99.0.0/24" }
    }]
}
EOF
# The daemons' default directory of CNI plugins. Debian's configuration of containerd names another.
mkdir -p /opt/cni
ln -s /usr/lib/cni /opt/cni/bin
# CRI-O's default is systemd.
mkdir -p /etc/crio/crio.conf.d
cat >/etc/crio/crio.conf.d/00-cgroups.conf <<'EOF'
[crio.runtime]
cgroup_manager = "cgroupfs"
conmon_cgroup = "pod"
EOF
systemctl restart $0
