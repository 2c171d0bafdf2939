#!/bin/sh
# Builds a .deb and an .rpm from a source archive, without a network, and installs and tests both:
#   packaging/test.sh dist/release/pause-0.1.0.tar.gz
# Needs root, debootstrap, Debian's archive, and 2 GB in target/packaging, where it installs Debian 13 once.
set -eu
archive=$(realpath "$1")
cd "$(dirname "$0")/.."
tree=target/packaging/trixie
# debootstrap does not find the last one by itself: lintian needs it by a virtual name.
packages=build-essential,rustc-web,cargo-web,debhelper,lintian,lld-22,mandoc,rpm,perl-openssl-defaults
if [ ! -e $tree.installed ]; then
    rm -rf $tree
    mkdir -p "${tree%/*}"
    unshare --mount --pid --fork --kill-child debootstrap --variant=minbase --include=$packages trixie $tree
    touch $tree.installed
fi

cat > $tree/build.sh <<'END'
set -eux
cd /build
if [ "$1" = deb ]; then
    tar -xf pause-*.tar.gz
    cd pause-*/
    mandoc -T lint -W warning docs/pause.8
    cp -R packaging/debian .
    dpkg-buildpackage --build=binary --no-sign
    lintian --fail-on warning --allow-root ../*.deb
    dpkg --install ../*.deb
else
    rpmbuild -tb --nodeps --define "_topdir $PWD/rpm" pause-*.tar.gz
    rpm --install --nodeps --force rpm/RPMS/*/*.rpm
fi
END
golden=$(awk -v name="linux/$(dpkg --print-architecture)" '$1 == name { print $2 }' tests/image/digests.txt)
program=$tree/usr/libexec/pause
for kind in deb rpm; do
    rm -rf $tree/build $program
    mkdir $tree/build
    cp "$archive" $tree/build
    unshare --mount --net --pid --fork --kill-child --mount-proc=$tree/proc env -i HOME=/nonexistent LANG=C.UTF-8 \
        PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot $tree sh /build.sh $kind
    echo "$golden  $program" | sha256sum --check
    cargo xtask test --strict --against $program
done
