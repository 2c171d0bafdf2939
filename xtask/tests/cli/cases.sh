# Cases of `cargo xtask`. A line that begins with `####` is a case's sentence; the case is the commands below it, up to the
# next one. Each is run by a new bash in a copy of the sources that all of them share, after the functions at the top.
# Exit status 77 skips a case; the reason is its last line.
#
# Variables: XTASK is the executable of the checkout that the tests belong to, ORIGINAL is that checkout, PLATFORM is the one
# to build, TARGET its target, VERSION the version of XTASK, TESTS the executable of the tests, and work a directory next to
# the copy. They stay the same in release.sh and verify.sh, whose cases follow.
set -eEuo pipefail
shopt -s inherit_errexit
trap 'echo "failed: $BASH_COMMAND" >&2' ERR

QUICK="as another process, it prints a line that begins with its name" # a case of the contract
PROGRAM=pause-${PLATFORM//\//-}
BUILD=(cargo build --release --bin pause --target=host-tuple)

die() { echo "$*" >&2; exit 1; }
skip() { echo "$*" >&2; exit 77; }
has() { [[ $1 == *"$2"* ]] || die "no \"$2\" in: $1"; }
prints() { local output; output=$("${@:2}"); has "$output" "$1"; } # PART COMMAND...
lacks() { [[ $1 != *"$2"* ]] || die "\"$2\" in: $1"; }
same() { [ "$1" = "$2" ] || die "$1, not $2"; }
image() { "$XTASK" image --platform "$PLATFORM" "$@"; }
quick() { "$XTASK" test "$QUICK" "$@"; }
full() { "$@" > /dev/full; }
on_linux() { [ "$(uname)" = Linux ] || skip "the contract's cases run programs for Linux, on Linux"; }
copy() { mkdir "$1"; tar -c --exclude=./target --exclude=./dist . | tar -x -C "$1"; }
script() { printf '#!/bin/sh\n%s\n' "$2" > "$1"; chmod 755 "$1"; }

# fails STATUS PART... -- COMMAND...: fails unless the command has this exit status and one short message at the end, which
# has these parts. The output is left in $stdout and $stderr.
fails() {
    local expected=$1 status=0 parts=() part message
    while shift; [ "$1" != -- ]; do parts+=("$1"); done
    shift
    "$@" > "$work/stdout" 2> "$work/stderr" || status=$?
    stdout=$(< "$work/stdout") stderr=$(< "$work/stderr")
    [ $status = "$expected" ] || die "exit status $status, not $expected: $stdout$stderr"
    # The rows of a difference follow the message.
    message=$(sed -n '/^error/,$p' "$work/stderr" | sed '/^[-+] /d')
    [ "$(grep -c "^error[:[]" <<< "$message")" = 1 ] && [ "$(wc -l <<< "$message")" -le 2 ] || die "not one message: $stderr"
    if grep -qE '.{121}' <<< "$message"; then die "a long line: $message"; fi
    for part in "${parts[@]}"; do has "${message//$'\n'/ }" "$part"; done
}

# Fails unless there is one complete image, and no temporary file is left over. Prints the index.
complete() {
    local dist=${1:-dist}
    lacks "$(ls -A "$dist" "$dist/.." "$dist/pause.oci")" .xtask-
    tar -xOf "$dist/pause.oci.tar" index.json | cmp - "$dist/pause.oci/index.json" >&2
    cat "$dist/pause.oci/index.json"
}

# Sets $starter to a command that starts another one in new namespaces, as root there.
namespaces() {
    starter=(unshare "$@")
    [ "$(id -u)" = 0 ] || starter+=(--map-root-user)
    "${starter[@]}" true 2> /dev/null || skip "\`${starter[*]}\` does not work here"
}

# build PARENT HOME [VARIABLE=VALUE]: builds the program again, with these config.toml in the parent directory and in cargo's
# home.
build() {
    local home="$work/cargo home"
    trap 'rm -rf ../.cargo "$work/cargo home"' EXIT
    mkdir -p ../.cargo "$home"
    ln -sfn "${CARGO_HOME:-$HOME/.cargo}/registry" "$home/registry"
    printf '%b' "$1" > ../.cargo/config.toml
    printf '%b' "$2" > "$home/config.toml"
    touch src/main.rs
    rm -rf dist
    env CARGO_CACHE_AUTO_CLEAN_FREQUENCY=never "CARGO_HOME=$home" "${@:3}" "$XTASK" build --platform "$PLATFORM"
}

# Fails unless that build gives the golden program.
golden() {
    prints " yes" build "$@"
    same "$(awk -v name="$PLATFORM" '$1 == name { print $2 }' "$ORIGINAL/tests/image/digests.txt")" \
        "$(sha256sum < "dist/bin/$PROGRAM" | cut -c -64)"
}
FLAG=-Copt-level=3 # makes the program larger

# interrupt SIGNAL STATUS COMMAND...: sends a signal to a command that waits for another one to write to dist. Fails unless
# it has this exit status.
interrupt() {
    local status=0
    exec 9< dist
    flock --nonblock 9 || skip "directories can't be locked here"
    # A command in the background, or under nohup, starts with signals ignored.
    env --default-signal "${@:3}" > /dev/null 2> "$work/stderr" 9<&- &
    until grep -q "^waiting for another command" "$work/stderr"; do kill -0 $!; sleep 0.05; done
    kill "-$1" $!
    wait $! || status=$?
    exec 9<&-
    same $status "$2"
}

# signal_at SIGNAL CALLS ORDINAL: makes another image, and sends a signal at that system call. Sets $status.
signal_at() {
    command -v strace > /dev/null || skip "strace is not installed; \`cargo xtask test\` installs it"
    rm -rf dist
    image
    status=0
    # --link gives the image other blobs.
    strace -qq -o "$work/trace" -e "inject=$2:signal=SIG$1:when=$3" \
        "$XTASK" image --platform "$PLATFORM" --link "/$1$3" || status=$?
    grep -qE -e "(--- |killed by )SIG$1 " "$work/trace" || die "$2 was not called $3 times"
}
RENAME=?rename,renameat,renameat2

# Sets $user to a command that starts another one as a user with no more rights than a file's permissions give.
unprivileged() {
    user=()
    if [ "$(id -u)" = 0 ]; then
        user=(unshare --user --map-user=1000)
        "${user[@]}" true 2> /dev/null || skip "\`${user[*]}\` does not work here"
    fi
}

# poor USER APT_GET COMMAND...: runs a command on a machine whose /usr/bin has sh, unshare and this apt-get, and whose rustc
# has no `core`. USER starts a command as another user.
poor() {
    local programs=$work/programs rust=$work/rust
    mkdir -p "$programs" "$rust"
    cp "$(command -v sh)" "$(command -v unshare)" "$programs"
    [ -z "$2" ] || script "$programs/apt-get" "$2"
    script "$rust/cargo" "exec '$(command -v cargo)' \"\$@\""
    script "$rust/rustc" "echo host; echo /nowhere/rustlib/host/lib"
    PROGRAMS=$programs PATH=$rust:/usr/bin:/bin "${starter[@]}" \
        sh -c "mount --bind \"\$PROGRAMS\" /usr/bin && exec $1 \"\$0\" \"\$@\"" "${@:3}"
}
USER_1000="unshare --user --map-user=1000"

# not_of_root DIRECTORY: fails if root owns a file below a directory other than a hard link
not_of_root() { local files; files=$(find "$1" -uid 0 -not -name "hard link"); same "$files" ""; }

#### variables of cargo and rustc do not change the program
of_target=${TARGET^^}
for name in RUSTFLAGS CARGO_ENCODED_RUSTFLAGS "CARGO_TARGET_${of_target//-/_}_RUSTFLAGS"; do
    golden "" "" "$name=$FLAG"
done
golden "" "" CARGO_PROFILE_RELEASE_OPT_LEVEL=3
golden "" "" CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true
golden "" "" PAUSE_SYMBOLS=1

#### a config.toml of a parent directory or of cargo's home does not change the program
golden "[target.$TARGET]\nrustflags = ['$FLAG']" ""
golden "" "[target.$TARGET]\nrustflags = ['$FLAG']"
golden "" "[target.'cfg(target_os = \"linux\")']\nrustflags = ['$FLAG']"
golden "" "[profile.release]\nopt-level = 3\nlto = false\ncodegen-units = 16\npanic = 'unwind'\nstrip = false"
golden "" "[profile.release]\ndebug = true\ndebug-assertions = true\noverflow-checks = true"
fails 1 "the profile's opt-level is not \"z\"" -- build "" "[profile.release.package.pause]\nopt-level = 3"

#### wrappers and compilers that are set elsewhere do not change the program
script "$work/wrapper" "exec \"\$@\" $FLAG"
script "$work/rustc" "exec rustc \"\$@\" $FLAG"
for name in RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER CARGO_BUILD_RUSTC_WRAPPER; do
    golden "" "" "$name=$work/wrapper"
done
golden "" "" "RUSTC=$work/rustc"
golden "" "[build]\nrustc-wrapper = '$work/wrapper'\nrustc-workspace-wrapper = '$work/wrapper'"
golden "" "[build]\nrustc = '$work/rustc'"

#### a crate that a parent directory replaces stops the build, and Cargo.lock stays
cp Cargo.lock "$work/lock"
version=$(grep -A 1 '^name = "syscalls"' Cargo.lock | sed -n 's/^version = "\(.*\)"/\1/p')
mkdir -p "$work/replaced/src"
echo 'compile_error!("replaced");' > "$work/replaced/src/lib.rs"
printf "package = { name = 'syscalls', version = '%s' }\nfeatures = { all = [] }\n" "$version" > "$work/replaced/Cargo.toml"
fails 1 --locked -- build "patch.crates-io.syscalls.path = '$work/replaced'" ""
fails 1 "a config.toml replaces syscalls" -- build "paths = ['$work/replaced']" ""
cmp Cargo.lock "$work/lock"

#### a toolchain is used only if rustup has installed all of it
rm -rf target/rustup # a link, perhaps
mkdir "$work/rust"
PATH=$work/rust:$PATH
script "$work/rust/rustc" 'echo host; [ $# = 2 ] || echo /nowhere/rustlib/host/lib'
half='mkdir -p "$RUSTUP_HOME"/toolchains/*-host/bin; echo "error: no luck today" >&2'
script "$work/rust/rustup" "$half; kill -KILL \$PPID"
status=0
"$XTASK" build --platform "$PLATFORM" || status=$?
same $status 137
script "$work/rust/rustup" "$half; exit 1"
for _ in 1 2; do
    fails 1 "rustup can't install Rust 1" "-host, see target/log/rustup.txt; " -- "$XTASK" build --platform "$PLATFORM"
    same "$(< target/log/rustup.txt)" "error: no luck today"
done
rm -rf target/rustup

#### cargo build takes the toolchain's lld or else the newest in PATH, and stops if that is too old
on_linux
script "$work/rustc" "[ \"\$*\" = '--print sysroot' ] && echo /nowhere || exec '$(command -v rustc)' \"\$@\""
mkdir "$work/path" "$work/llvm"
script "$work/path/cargo" "exec '$(command -v cargo)' \"\$@\""
ln -s "$(command -v cc)" "$work/path/cc"
lld() { # FILE VERSION
    script "$1" "[ \$1 != --version ] || { echo 'Debian LLD $2 (compatible with GNU linkers)'; exit; }
        exec '$(rustc --print sysroot)/lib/rustlib/$TARGET/bin/gcc-ld/ld.lld' \"\$@\""
}
build_in_path() { touch src/main.rs && RUSTC=$work/rustc PATH=$work/path "${BUILD[@]}" 2>&1; }
for old in "" 9.0.1 19.1.7; do
    [ -z "$old" ] || lld "$work/path/ld.lld" "$old"
    errors=$(build_in_path) && die "it was built"
    line=$(grep -c "^error: .*: lld 20 or newer has to link the program: install the package lld (" <<< "$errors")
    same "$line" 1
    lacks "$errors" "linking with"
done
lld "$work/llvm/ld.lld" 20.1.0
ln -s "$work/llvm/ld.lld" "$work/path/ld.lld-20"
build_in_path

#### cargo build stops if no linker for another target is set
other=riscv64gc-unknown-linux-gnu
errors=$("${BUILD[@]/host-tuple/$other}" --keep-going 2>&1) && die "it was built" # core may be missing, too
has "$errors" "no linker for $other: \`cargo xtask build\` finds one, CARGO_TARGET_RISCV64GC_UNKNOWN_LINUX_GNU_LINKER sets one"

#### cargo build stops at a flag that was added or lost, and names it
errors=$(RUSTFLAGS="-Cno-redzone=yes $FLAG" "${BUILD[@]}" 2>&1) && die "it was built"
has "$errors" "other than in .cargo/config.toml: + $FLAG, - -Cllvm-args=-disable-machine-licm"

#### xtask works on the checkout around the current directory, wherever it was built
rm -rf dist
before=$(stat --format %Y "$ORIGINAL/dist/pause.oci.tar" || true)
cd src/arch
prints "localhost/pause:$VERSION" image
cd ../..
complete
same "$(stat --format %Y "$ORIGINAL/dist/pause.oci.tar" || true)" "$before"

#### a copy builds itself in a shared target directory, whatever CARGO_BUILD_TARGET is
rm -rf dist
cd docs
CARGO_BUILD_TARGET=aarch64-unknown-linux-gnu prints "localhost/pause:9.9.9" \
    cargo xtask image --platform "$PLATFORM" 2> "$work/stderr"
cd ..
grep -q Finished "$work/stderr" # cargo shows that it compiles
same "$(tail -n 1 "$work/stderr")" "writing dist"
complete

#### a filter runs the cases that match, also through cargo test, and must match one
on_linux
CARGO_BUILD_TARGET=aarch64-unknown-linux-gnu prints "1 passed; 0 failed" quick --platform "$PLATFORM"
prints "1 passed; 0 failed" cargo test --quiet --target host-tuple --package conformance "$QUICK"
fails 2 'no case has "flies to the moon" in its name' -- "$XTASK" test --platform "$PLATFORM" "flies to the moon"

#### --against is a path from the current directory, and may have a blank, = and ;
on_linux
rm -rf dist
image
cp "dist/bin/$PROGRAM" "docs/p=a; ü"
cd docs
prints "1 passed; 0 failed" quick --against "p=a; ü"
cd ..
fails 2 --against "there is no such file" -- quick --against "p=a; ü"

#### if all cases fail, the message does not blame the filter
on_linux
fails 1 "the tests failed" -- quick --against /bin/true
has "$stdout" "0 passed; 1 failed"

#### the host's linker takes a comma in the repository's path
on_linux
copy "$work/a,b"
cd "$work/a,b"
"${BUILD[@]}"

#### a deleted checkout leaves nothing in a shared target directory that breaks a build
on_linux
copy "$work/gone"
find "$work/gone" -type f -exec touch {} + # newer than all that has been built
(cd "$work/gone" && "${BUILD[@]}")
rm -rf "$work/gone"
touch src/main.rs # so that there is something to link
"${BUILD[@]}"

#### making the image compiles no more crates than a user should wait for
count=$(cargo tree --quiet --package xtask --edges normal,build --prefix none --no-dedupe --format '{p}' --target host-tuple |
    sort -u | wc -l)
[ "$count" -ge 2 ] && [ "$count" -le 60 ] || die "$count crates"

#### standard output or error is closed or full: the image is written, and lost output is an error
rm -rf dist
image | :
complete
rm -rf dist
image 2>&1 > /dev/null | :
complete
rm -rf dist
image > /dev/null 2> /dev/full
complete
rm -rf dist
fails 1 "can't write to standard output: No space" -- full image
complete

#### standard output is full: the tests fail without a backtrace
on_linux
fails 1 "the tests failed" -- full quick --platform "$PLATFORM"
has "$stderr" "can't write to standard output"
lacks "$stderr" panicked

#### a line per step
output=$(image 2> "$work/stderr")
has "$output" $'  toolchain  golden\n'
has "$output" "  yes"
printf '%s\n' "building $PLATFORM" "packing the image" "writing dist" | cmp - "$work/stderr"

#### whatever is in the way stays, and the message has its path
in_the_way() { # PATH DIRECTORY|FILE MESSAGE
    rm -rf dist
    if [ "$2" = DIRECTORY ]; then mkdir -p "$1"; else mkdir -p "$(dirname "$1")"; echo mine > "$1"; fi
    before=$(find dist)
    fails 1 "$3" -- image
    same "$(find dist)" "$before"
}
in_the_way dist FILE "dist is not a directory; move it away"
in_the_way dist/bin FILE "dist/bin is not a directory; move it away"
in_the_way dist/pause.oci FILE "dist/pause.oci is not a directory; move it away"
in_the_way dist/pause.oci.tar DIRECTORY "dist/pause.oci.tar is a directory; move it away"
foreign=", which this command did not write; move it away"
in_the_way dist/pause.oci/notes.txt FILE "pause.oci holds notes.txt$foreign"
in_the_way dist/pause.oci/target DIRECTORY "pause.oci holds target$foreign"
in_the_way dist/pause.oci/blobs/sha512 DIRECTORY "pause.oci holds blobs/sha512$foreign"
rm -rf dist
image
mv dist/pause.oci "$work/layout"
ln -s "$work/layout" dist/pause.oci
fails 1 "dist/pause.oci is a link; move it away" -- image
rm dist/pause.oci
mv "$work/layout" dist/pause.oci
sed -i 's|"/pause"|"/nginx"|' "$(grep -l Entrypoint dist/pause.oci/blobs/sha256/*)"
fails 1 "dist/pause.oci holds another image; move it away" -- image
blob=blobs/sha256/$(printf '0%.0s' {1..64})
for make in mkfifo "ln -s /dev/zero"; do
    $make "dist/pause.oci/$blob"
    stderr=$(timeout 60 "$XTASK" image --platform "$PLATFORM" 2>&1) && die "it was replaced"
    has "${stderr//$'\n'/ }" "pause.oci holds $blob$foreign"
    rm "dist/pause.oci/$blob"
done
rm -rf dist
ln -s nowhere dist
fails 1 "dist is a link that leads nowhere; remove it" -- image
[ -L dist ]
rm dist
lacks "$(ls -A)" .xtask-

#### dist is a link to a directory elsewhere, and stays one
mkdir "$work/elsewhere"
rm -rf dist
ln -s "$work/elsewhere" dist
for _ in 1 2; do
    image
    [ -L dist ]
    complete "$work/elsewhere"
done
rm dist

#### other files in dist stay, those of other platforms too, and dist's permissions
rm -rf dist
image
mkdir -p dist/mine/deep
files=(dist/mine/deep/file dist/bin/pause-linux-other dist/.pause.oci.tar.new dist/air-gap.txt)
for file in "${files[@]}"; do echo mine > "$file"; done
ln -s file dist/mine/deep/link
chmod 700 dist
"$XTASK" build --platform "$PLATFORM"
image
for file in "${files[@]}"; do same "$(< "$file")" mine; done
[ -L dist/mine/deep/link ]
same "$(stat --format %a dist)" 700
complete
rm -rf dist

#### file systems mounted at dist and in it stay
namespaces --mount
rm -rf dist
mkdir dist
export -f image
output=$("${starter[@]}" bash -euc 'mount -t tmpfs tmpfs dist; mkdir dist/mine; mount -t tmpfs tmpfs dist/mine
    echo precious > dist/mine/file; image > /dev/null; cat dist/mine/file dist/pause.oci/index.json')
[[ $output == precious$'\n{'* ]]
same "$(ls -A dist)" ""

#### the repository or dist can't be written: nothing is built
unprivileged
trap 'chmod 755 . dist' EXIT
unwritable() {
    before=$(find dist 2>&1 || true)
    chmod 555 "$1"
    fails 1 "can't write in" "$1" "permission denied" -- "${user[@]}" "$XTASK" image --platform "$PLATFORM"
    chmod 755 "$1"
    lacks "$stderr" building
    same "$(find dist 2>&1 || true)" "$before"
}
rm -rf dist
unwritable "$PWD"
image
unwritable "$PWD/dist"

#### the file system is read-only or full, or has no inodes: nothing is left over
namespaces --mount
full_file_system() { # OPTIONS COMMAND MESSAGE
    fails 1 "can't write in" "$3" -- "${starter[@]}" bash -c "mount -t tmpfs -o $1 tmpfs '$work/mounted'
        cd '$work/mounted' && mkdir dist && echo mine > dist/file && $2 && cd ~- && image
        status=\$?; find '$work/mounted' -mindepth 1 -printf '%P\n'; exit \$status"
    same "$stdout" $'dist\ndist/file'
}
export -f image
mkdir "$work/mounted"
rm -rf dist
ln -s "$work/mounted/dist" dist
trap 'rm dist' EXIT
full_file_system size=1m "mount -o remount,ro ." "can't write in"
full_file_system size=16k : "o space left on device"
full_file_system size=1m,nr_inodes=8 : "o storage space"

#### a signal ends a waiting command with 128 and its number, and the image is the old one
rm -rf dist
image
before=$(complete)
for signal in INT.130 TERM.143 HUP.129; do
    interrupt "${signal%.*}" "${signal#*.}" "$XTASK" image --platform "$PLATFORM" --tag "$signal"
    same "$(complete)" "$before"
done

#### a signal in the middle of writing leaves one complete image
while read -r signal expected calls ordinal; do
    signal_at "$signal" "$calls" "$ordinal"
    # The last step may be done before the process ends.
    [ $status = 0 ] || same $status "$expected"
    complete
done <<< "INT 130 $RENAME 1
TERM 143 $RENAME 4
HUP 129 $RENAME 7
INT 130 $RENAME 9
TERM 143 ?unlink,unlinkat 1"

#### SIGKILL at any step leaves a complete layout, and the next command replaces it
for step in "$RENAME 1" "$RENAME 4" "$RENAME 7" "$RENAME 9" "?unlink,unlinkat 1"; do
    signal_at KILL $step
    files=(index.json)
    while [ ${#files[@]} != 0 ]; do
        file=dist/pause.oci/${files[-1]}
        unset 'files[-1]'
        [ -e "$file" ] || die "$step: $file is missing"
        # The digests in a config are those of uncompressed layers.
        if ! grep -qa '"rootfs"' "$file"; then
            files+=($(grep -aoE '"sha256:[0-9a-f]{64}' "$file" | sed 's|"sha256:|blobs/sha256/|' || true))
        fi
    done
    image
    same "$(ls dist/pause.oci/blobs/sha256 | wc -l)" 3
done
rm -rf dist

#### everything that is missing is one message with one command
namespaces --mount
fails 1 "\`cargo xtask test\` needs " "; run   sudo apt-get install --yes " " qemu-user-static " " rustc-web " " strace" -- \
    poor "$USER_1000" "exit 1" "$XTASK" test
lacks "$stderr" building

#### without apt-get, the missing packages are listed
namespaces --mount
fails 1 "\`cargo xtask test\` needs programs" " qemu-user-static " " rustc-web " " strace" -- \
    poor "$USER_1000" "" "$XTASK" test

#### if apt-get fails, its output is in a log
namespaces --mount
fails 1 "can't install " ": apt-get failed; its output is in target/log/apt-get.txt" -- \
    poor "" "echo no packages today; exit 1" "$XTASK" test
same "$(< target/log/apt-get.txt)" $'no packages today\nno packages today'

#### without skopeo, an image in a registry is not compared, and the message names the package
namespaces --mount
fails 2 "\`cargo xtask verify\` needs " "sudo apt-get install --yes " " skopeo" -- \
    poor "$USER_1000" "exit 1" "$XTASK" verify docker://registry.example/pause

#### if the program does not compile, cargo's output is in a log
copy "$work/broken"
cd "$work/broken"
{ printf '%100s' "" | tr ' ' '\n'; echo '?'; } > src/message.rs
fails 1 "can't build linux/" ": expected item, found" "; cargo's output is in target/log/cargo.txt" -- "$XTASK" build --platform "$PLATFORM"
has "$(< target/log/cargo.txt)" src/message.rs:101

#### without a network the image is made
namespaces --net
rm -rf dist
"${starter[@]}" "$XTASK" image --platform "$PLATFORM"
complete

#### git's refusal of a foreign owner is one line
on_linux
git init --quiet
cp tests/image/sizes.txt "$work/sizes"
trap 'rm -rf .git; cp "$work/sizes" tests/image/sizes.txt' EXIT
sed -Ei 's|^(linux/[^ ]+ +)[0-9]+|\10|' tests/image/sizes.txt
status=0
output=$(GIT_TEST_ASSUME_DIFFERENT_OWNER=1 "$XTASK" test --platform "$PLATFORM" \
    "a copy of the sources gives the same bytes" 2> "$work/stderr") || status=$?
same $status 1
line=$(grep "git does not list the sources" <<< "$output")
has "$line" "dubious ownership in repository at"
has "$line" "; run \`git config --global --add safe.directory"
grep -q "^error: the tests failed; and linux/" "$work/stderr" # other sizes are reported, too
fails 2 "no case has" -- "$XTASK" test --platform "$PLATFORM" "flies to the moon"

#### root owns no file in a user's checkout and cargo home after a command
[ "$(id -u)" = 0 ] || skip "only root can write another user's files"
checkout="$work/user's checkout"
export CARGO_HOME_BEFORE=${CARGO_HOME:-$HOME/.cargo} CARGO_HOME="$work/user's home"
copy "$checkout"
mkdir "$CARGO_HOME" "$work/foreign" "$checkout/target"
ln -s "$CARGO_HOME_BEFORE"/* "$CARGO_HOME" # the crates are behind links, which must not be followed
ln -s "$work/foreign" "$checkout/link"
touch "$work/foreign/file"
chown -hR 1000:1000 "$checkout" "$CARGO_HOME"
ln "$work/foreign/file" "$checkout/target/hard link"
cd "$checkout"
image
[ -e dist/pause.oci ]
[ -e target/cross ]
not_of_root .
touch target/file "$CARGO_HOME/file"
fails 2 "'imgae'" -- "$XTASK" imgae
not_of_root .
not_of_root "$CARGO_HOME"
touch target/other
interrupt TERM 143 "$XTASK" image --platform "$PLATFORM"
not_of_root .
same "$(find "$work/foreign" -uid 0 | wc -l)" 2 # no link was followed

#### names are completed as Docker does, and links and the directories above them are entries of the layer
output=$(image --name pause --name docker.io/pause:a --name user/pause:3.10 --name localhost/pause --user 0:2147483647 \
    --name Registry.example:5000/a/b__c/d-e:_F.1- --link /usr/lib/pod --link /usr/bin/pod --link /.hidden --link /pause2)
for name in "docker.io/library/pause:$VERSION" docker.io/library/pause:a docker.io/user/pause:3.10 "localhost/pause:$VERSION" \
    Registry.example:5000/a/b__c/d-e:_F.1-; do
    has "$output" $'\n  '"$name"$'\n'
done
layer=$(grep -la $'^\x1f\x8b' dist/pause.oci/blobs/sha256/*)
same "$(tar -tvzf "$layer" --numeric-owner | awk '{ print $1, $2, $6, $7, $8, $9 }' | sed 's/ *$//')" \
"drwxr-xr-x 0/0 ./
-r-xr-xr-x 0/0 pause
hr-xr-xr-x 0/0 .hidden link to pause
hr-xr-xr-x 0/0 pause2 link to pause
drwxr-xr-x 0/0 usr/
drwxr-xr-x 0/0 usr/bin/
hr-xr-xr-x 0/0 usr/bin/pod link to pause
drwxr-xr-x 0/0 usr/lib/
hr-xr-xr-x 0/0 usr/lib/pod link to pause"

#### bad input is one message and exit status 2, and nothing is built
bad() { # PART ARGUMENT...
    fails 2 "$1" -- "$XTASK" "${@:2}"
    same "$stdout" ""
    [[ $stderr == error:\ * ]] || die "$stderr"
}
mkfifo pipe
trap "rm pipe" EXIT
bad "'fly'" fly
bad "unrecognized subcommand 'imgae'; a similar subcommand exists: 'image'" imgae
bad "unexpected argument '--platfrom' found; a similar argument exists: '--platform'" build --platfrom x
bad "'--fly'" --fly
bad "'--fly'" build --fly
bad "'amd64'" build amd64
bad "'--platform <OS/ARCH>'" build --platform
bad "unknown platform; there are linux/{amd64," build --platform x
bad "unknown platform" image --platform linux/AMD64
for name in UPPER a/ /a a//b a___b a..b -a a- ä "a b" a: a:.b a:b:c -.example/a registry.example:/a registry.example:x/a; do
    bad "an image's name looks like" image "--name=$name"
done
bad "'--name <NAME[:TAG]>'" image --name ""
bad "an image's name looks like" image --name pause@sha256:0000
bad "'-x'" image --tag -x
bad "a tag is up to 128 letters" image --tag "a b"
bad "'--tag <TAG>'" image --tag ""
bad "an annotation looks like" image --annotation x
bad "an annotation looks like" image --annotation =x
for annotation in $'x=\n\n\e[2J' $'a=b\n' $'a\t=b' $'a=\u009b2J'; do
    bad "an annotation looks like" image --annotation "$annotation"
done
for link in usr/bin/pod / //pod /usr/ /./pod /usr/../pod /.wh.pause /usr/.wh..wh..opq "/a b" $'/a\nb' $'/a\eb' /pöd \
    /dev /proc/1/exe /etc/pod /run /sys/pod; do
    bad "a link is a path like" image --link "$link"
done
bad "the image has /pause already" image --link /pause
bad "/pause and /pause/x can't both be the program" image --link /pause/x
bad "/a and /a/b can't both be the program" image --link /a/b --link /a
bad "/a and /a/b/c can't both be the program" image --link /a --link /a.b --link /a/b/c
for long in "--name=a:$(printf '%129s' "" | tr ' ' a)" "--link=/$(printf '%101s' "" | tr ' ' a)"; do
    status=0
    "$XTASK" image "$long" || status=$?
    same $status 2
done
for user in root : 1: :1 1:2:3 +1 007 "1 " 0x10 2147483648 1:root $'1\n'; do
    bad "a user is UID or UID:GID" image --user "$user"
done
bad --air-gap image --air-gap=yes
bad "unknown platform" test --platform linux/arm
bad "there is no such file" test --against .
bad "there is no such file" test --against nowhere
bad "cannot be used with" test --bless "a case"
bad required test --strict
bad "a release of Debian has a name like trixie or sid" test --debian Trixie
bad "cannot be used with" test --debian sid --seccomp
bad "'two'" test one two
bad "can't read nowhere (an image in a registry would be docker://REGISTRY/NAME)" verify nowhere
bad "/dev/zero is neither a file nor a directory" verify /dev/zero
bad "can't read \\u{1b}[2J\\u{202e} (" verify $'\e[2J\u202e'
bad "pipe is neither a file nor a directory" verify pipe
for builder in "" me https: 1a:b "https://a b" :x; do
    bad "a builder is a URI" release "--builder=$builder"
done

#### outside of a checkout, the message reports that
mkdir "$work/no checkout"
cd "$work/no checkout"
fails 1 "could not find \`Cargo.toml\`" "no checkout" -- image

#### help lists all commands, and each has its own
help=$("$XTASK" --help)
for command in build image test verify release kernels hosts inject mutation bench prove disasm docs; do
    has "$help" $'\n  '"$command "
done
for command in build image test verify release; do
    prints "Usage: cargo xtask $command [OPTIONS]" "$XTASK" "$command" --help
done
status=0
help=$("$XTASK" 2>&1 > /dev/null) || status=$?
same $status 2
has "$help" "Usage: cargo xtask <COMMAND>"

#### a subcommand's own arguments, help and exit status pass through
# One stands for all: they share a main function.
prints "Usage: cargo xtask disasm [OPTIONS]" "$XTASK" disasm --help
fails 2 "'--fly'" -- "$XTASK" disasm --fly
