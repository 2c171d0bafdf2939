# Functions of the readers' scripts. They find in
#   $ARCHIVE, $LAYOUT  the image as one archive and as a directory
#   $ONE               the archive of this machine's platform alone
#   $LAYER, $BLOB      that platform's layer, as it is and compressed
#   $NAME, $PLATFORMS  the image's name, and the names of its platforms
# and leave the unpacked image in ./root.
set -eu
umask 022
copy() { skopeo --insecure-policy copy --quiet "$@"; }
layers() { mkdir root; for blob in "$1"/*; do tar -xf "$blob" -C root 2>/dev/null || true; done; }
child() { # of the image, with two more layers, built by this command
    podman load --quiet --input $ARCHIVE
    touch one two
    printf 'FROM %s\nCOPY one /\nCOPY two /\n' $NAME >Containerfile
    "$@" --quiet --tag child .
    [ $(podman history --quiet child | wc -l) = 3 ]
    cp -a $(podman image mount child) root
    rm root/one root/two
}
load() { # into Docker
    docker version >/dev/null 2>&1 || serve docker dockerd --iptables=false --ip6tables=false
    docker load --quiet --input $1
    [ $(docker history --quiet $NAME | wc -l) = 1 ]
    cp -a $(docker image inspect --format '{{.GraphDriver.Data.UpperDir}}' $NAME) root
}
serve() { # a daemon, for this client
    client=$1
    shift
    "$@" >/tmp/daemon.log 2>&1 &
    for second in $(seq 30); do
        ! $client version >/dev/null 2>&1 || return 0
        sleep 1
    done
    tail -n 1 /tmp/daemon.log >&2
    exit 1
}
containerd_with() { # these settings
    printf 'version = 2\n%s\n' "$1" >/tmp/containerd.toml
    ctr version >/dev/null 2>&1 || serve ctr containerd --config /tmp/containerd.toml
}
import() { # into containerd, with this snapshotter
    ctr images import $(ctr images import --help | grep -o -e --local) --snapshotter $1 $ARCHIVE
}
start() { # a container with this snapshotter
    [ "$(ctr run --rm --snapshotter $1 $NAME $1 /pause -v)" = "pause ${NAME##*:}" ]
}
snapshot() {
    containerd_with ''
    import $1
    start $1
    mkdir mounted
    ctr images mount --snapshotter $1 $NAME mounted
    cp -a mounted root
    umount mounted
}
snapshot_erofs() {
    containerd_with "[plugins.'io.containerd.service.v1.diff-service']
default = ['erofs', 'walking']"
    import erofs
    # A container needs a kernel with erofs.
    if modprobe erofs 2>/dev/null || grep -qw erofs /proc/filesystems; then start erofs; fi
    fsck.erofs --extract=root /var/lib/containerd/*.erofs/snapshots/*/layer.erofs
}
udocker() {
    export HOME=$PWD PYTHONPATH=/opt/udocker.whl
    # Without this, it would download programs that run containers.
    mkdir -p .udocker/lib
    echo 9.9.9 >.udocker/lib/VERSION
    for command in "load -i $ONE" "create $NAME"; do
        python3 -c 'from udocker.maincmd import main; exit(main())' --allow-root $command
    done
    mv .udocker/containers/*/ROOT root
    chmod u-w root/pause # which it adds for its user
}
stargz() {
    containerd_with ''
    ctr images import $ARCHIVE
    ctr-remote images convert --estargz --oci $NAME $NAME-esgz
    ctr images export converted.tar $NAME-esgz
    tar -xf converted.tar
    layers blobs/sha256
    grep -q '"name": "./"' root/stargz.index.json
    rm root/stargz.index.json root/.no.prefetch.landmark
}
store() {
    storage=containers-storage:[vfs@$PWD/graph+$PWD/run]$NAME
    copy oci:$LAYOUT $storage
    copy $storage dir:out
    layers out
}
copy_all() {
    copy --all --preserve-digests oci-archive:$ARCHIVE oci:out:$NAME
    diff -r $LAYOUT/blobs out/blobs
    copy oci:out dir:native
    layers native
}
copy_each() {
    for platform in $PLATFORMS; do
        set -- $(echo $platform | tr / ' ')
        copy --override-os $1 --override-arch $2 ${3:+--override-variant $3} oci:$LAYOUT dir:$2${3:-}
        skopeo inspect --raw --config dir:$2${3:-} | grep -q '"architecture":"'$2'"'
    done
    [ $(sha256sum */manifest.json | cut -c -64 | sort -u | wc -l) = $(echo $PLATFORMS | wc -w) ]
    copy oci:$LAYOUT dir:native
    layers native
}
tarfile() {
    python3 -c '
import sys, tarfile
layer = tarfile.open(sys.argv[1])
layer.extraction_filter = lambda member, path: member
layer.extractall("root")
' $BLOB
}
bundle() {
    mkdir layout
    tar -xf $ONE -C layout
    chown -R 54321:54321 .
    HOME=$PWD setpriv --reuid 54321 --regid 54321 --clear-groups umoci unpack --rootless --image layout:$NAME bundle
    mv bundle/rootfs root
}
