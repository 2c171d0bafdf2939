# Cases of `cargo xtask kernels` without Debian's archive, or with only a part of it: it prints the missing kernels and
# the reason, runs the rest, and fails. The emulator is a mock that prints a machine's output. The path has spaces and a
# letter that isn't ASCII. KERNELS is the executable; the argument is a case, a function.
set -eEuo pipefail
trap 'echo "failed: $BASH_COMMAND" >&2' ERR

original=$(realpath ../..)
golden=tests/kernels/kernels.txt
cached=amd64-6.1        # for linux/amd64; in the cache
contradictory=armel-6.1 # for linux/arm/v6; its package list differs from the mirror's release file
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir bin "a b ü"
export PATH="$work/bin:$PATH" LC_ALL=C.UTF-8 APT_CONFIG="$work/apt.conf"
for emulator in bin/qemu-system-x86_64 bin/qemu-system-arm; do
    printf '%s\n' '#!/bin/sh' '[ "$1" = --version ] && echo "QEMU emulator version 99.0.0" && exit' "cat '$work/serial'" \
        > $emulator
    chmod +x $emulator
done

die() { echo "$*" >&2; exit 1; }
same() { [ "$1" = "$2" ] || die "$1, not $2"; }
begins() { [[ $1 == "$2"* ]] || die "no \"$2\" at the start of: $1"; }

# Runs the command for both kernels in the repository, after a wrapper. Sets $stdout and $errors; there are two of them.
fails() {
    local status=0
    env --chdir="a b ü" "$@" "$KERNELS" --kernel $cached --platform linux/amd64 \
        --kernel $contradictory --platform linux/arm/v6 > stdout 2> stderr || status=$?
    stdout=$(< stdout)
    mapfile -t errors < <(grep -E "^(can't get |error: )" stderr)
    [ "$status, ${#errors[@]}" = "1, 2" ] || die "exit status $status: $(< stderr)"
}

without_a_network_one_line_has_the_reason() {
    mkdir -p "a b ü/${golden%/*}"
    echo "[workspace]" > "a b ü/Cargo.toml"
    cp "$original/$golden" "a b ü/$golden"
    touch apt.conf
    fails unshare --map-root-user --net
    begins "${errors[0]}" "can't get $cached, $contradictory: Temporary failure resolving "
    same "${errors[1]}" "error: 0 passed, 0 failed, 2 not run"
    same "$stdout" ""
    same "$(ls "a b ü/target/kernels")" ""
}

with_a_contradictory_mirror_the_other_kernels_run() {
    tar -C "$original" -c --exclude=./target --exclude=./dist --exclude=./.git . | tar -x -C "a b ü"
    mkdir -p "a b ü/target/kernels/$cached" mirror/dists/bookworm/main/binary-{amd64,armel} etc state/lists/partial \
        cache/archives/partial
    touch "a b ü/target/kernels/$cached/kernel" state/status

    # The release file has the digest of another list than the mirror's for armel.
    local list release=mirror/dists/bookworm/Release architecture file listed
    list=$'Package: nothing\nVersion: 1\nArchitecture: all\nFilename: nothing.deb'
    printf '%s\n' "Label: Debian" "Codename: bookworm" "Date: Sat, 10 Jun 2023 08:00:00 UTC" \
        "Architectures: amd64 armel" "Components: main" "SHA256:" > $release
    for architecture in amd64 armel; do
        file=main/binary-$architecture/Packages listed=$list
        [ $architecture = amd64 ] || listed=${list/1/2}
        echo "$list" > "mirror/dists/bookworm/$file"
        echo " $(sha256sum <<< "$listed" | cut -d ' ' -f 1) $(wc -c <<< "$listed") $file" >> $release
    done
    echo "deb [trusted=yes] file:$work/mirror bookworm main" > etc/sources.list
    cat > apt.conf << END
Dir::State "$work/state";
Dir::State::status "$work/state/status";
Dir::Cache "$work/cache";
Dir::Etc "$work/etc";
Dir::Etc::parts "/dev/null";
APT::Sandbox::User "";
APT::Architecture "amd64";
APT::Architectures "amd64";
Acquire::AllowInsecureRepositories "true";
END

    # Two of the cases are the machine's end.
    local cases
    cases=$(awk -v kernel=$cached '$1 == "linux/amd64" && $2 == kernel { print $5 - 2 }' "$original/$golden")
    {
        echo "kernel 6.1.0, 4 KiB pages"
        for ((; cases > 0; cases--)); do echo "ok a case"; done
        echo "driver: all passed"
        echo "Shutting down, got signal: Terminated"
        echo "Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000000"
    } > serial

    fails
    same "${errors[0]}" "can't get $contradictory: Hash Sum mismatch"
    same "${errors[1]}" "error: 1 passed, 0 failed, 1 not run"
    begins "$(sed -n 2p <<< "$stdout")" "linux/amd64  amd64-6.1  4 KiB"
}

"$1"
