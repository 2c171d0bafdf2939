# Cases of `cargo xtask release` in copies of the sources, each a git repository with a tag. The functions in cases.sh come
# first.

TAG=v$VERSION
CHECKOUT=$PWD
for role in AUTHOR COMMITTER; do # the same sources give the same commit
    export "GIT_${role}_NAME=me" "GIT_${role}_EMAIL=me@git.example" "GIT_${role}_DATE=2030-12-31T00:00:00Z"
done

commit() { git add --all && git commit --quiet --message All; }
tag() { git tag --force "$TAG" > "$work/stdout"; }

# repository DIRECTORY: makes a repository, in which the version has a date, and goes there.
repository() {
    cd "$CHECKOUT"
    copy "$1"
    cd "$1"
    sed -i "s/^## $VERSION - .*/## $VERSION - 2030-12-31/" CHANGELOG.md
    # The private toolchain is installed once, and `core` is built once.
    target=${target:-$CARGO_TARGET_DIR}
    unset CARGO_TARGET_DIR
    ln -s "$target" target
    git init --quiet
    git remote add origin https://me:secret@git.example/pause.git
    commit
}

# refuses REASON...: fails unless a release is refused for reasons that begin like these.
refuses() {
    local status=0 complaints number=0 reason
    "$XTASK" release > "$work/stdout" 2> "$work/stderr" || status=$?
    same $status 1
    same "$(< "$work/stdout")" ""
    [ ! -e dist ] || die "something is left over"
    mapfile -t complaints < <(sed "0,/^error: can't release $VERSION:\$/d" "$work/stderr")
    [ ${#complaints[@]} = $# ] || die "not $# complaints: $(< "$work/stderr")"
    for reason; do
        [[ ${complaints[number++]} == "  $reason"* ]] || die "no complaint \"$reason\": $(< "$work/stderr")"
    done
}

# block HEADING: prints the commands that docs/release.md has under this heading.
block() {
    awk -v heading="$1" '!code && /^#+ / { here = $0 ~ "^#+ " heading "$" } /^```/ { code = here && /sh$/; next } code' \
        "$ORIGINAL/docs/release.md"
}

#### the same tag gives the same release, complete or not at all
# One case, because building every platform takes long.
repository "$work/one ü"
tag
"$XTASK" release
PAUSE_CHECK_RELEASE=$PWD/dist/release "$TESTS"
sums=$(cd dist/release && sha256sum --check --strict SHA256SUMS)
same "$(wc -l <<< "$sums")" "$(find dist/release -type f -not -name SHA256SUMS | wc -l)"
same "$("dist/release/$PROGRAM" -v)" "pause $VERSION"
same "$(git tag --points-at HEAD)" "$TAG"
same "$(grep -m 1 '^## ' CHANGELOG.md)" "## $VERSION - 2030-12-31"
grep -q "^version = \"$VERSION\"" Cargo.toml
for private in secret "$PWD" "$HOME"; do
    same "$(grep -rlaF "$private" dist/release || true)" ""
done
same "$(grep -rhoaE '"timestamp": "[^"]*"' dist/release | sort -u)" '"timestamp": "2030-12-31T00:00:00Z"'
# The schema of CycloneDX, as its own library has it.
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-cache-dir --disable-pip-version-check 'cyclonedx-python-lib[json-validation]==11.12.0'
"$work/venv/bin/python" -c 'if True:
    import pathlib, sys
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator
    sbom = pathlib.Path("dist/release/pause.cdx.json").read_text()
    sys.exit(JsonStrictValidator(SchemaVersion.V1_6).validate_str(sbom))'
cp "dist/release/pause-$VERSION.tar.gz" "dist/release/$PROGRAM" "$work"

repository "$work/other"
git tag --annotate --message Released "$TAG"
"$XTASK" release
diff -r "$work/one ü/dist/release" dist/release

# If a platform can't be built, the release before stays.
echo 'compile_error!("no such machine");' >> src/arch/x86_64.rs
commit
tag
fails 1 "can't build linux/amd64: no such machine" -- "$XTASK" release
diff -r "$work/one ü/dist/release" dist/release
rm -r dist

# A program needs the golden digest.
git revert --no-edit HEAD
sed -Ei "s|^(linux/s390x +)[0-9a-f]+|\1$(printf '0%.0s' {1..64})|" tests/image/digests.txt
commit
tag
fails 1 "linux/s390x by toolchain " -- "$XTASK" release
[ ! -e dist ]

# The source archive gives the program without a network, cargo's files and a distribution's flags; and stops at any other program.
namespaces --net
source=$work/pause-$VERSION
tar -xf "$source.tar.gz" -C "$work"
cd "$source"
same "$(grep -c '^\[\[package' Cargo.lock)" 3
make=("${starter[@]}" env CARGO_HOME="$work/empty" RUSTFLAGS="$FLAG" make DESTDIR="$work/installed")
prints "pause has the golden digest" "${make[@]}" install LIBEXECDIR=/libexec
cmp "$work/$PROGRAM" "$work/installed/libexec/pause"
same "$(cd "$work/installed" && find . -type f | sort | xargs)" "./libexec/pause ./usr/share/licenses/pause/LICENSE-APACHE \
./usr/share/licenses/pause/LICENSE-MIT ./usr/share/licenses/pause/LICENSE-syscalls ./usr/share/man/man8/pause.8"
prints "pause $VERSION" "${make[@]}" check
sed -i "s|^ *handle(SIGCHLD|// &|" src/main.rs
errors=$("${make[@]}" 2>&1) && die "it was built"
has "$errors" "pause has the digest "
[ ! -e pause ]

#### a release is refused with every reason, before any work
repository "$work/other"
tag
# The repository is changed step by step.
repository "$work/one ü"
refuses "the tag $TAG does not exist"

git tag v77.0.0
refuses "the commit's tag is v77.0.0, which is another version"

tag
git commit --quiet --allow-empty --message More
refuses "the tag $TAG belongs to another commit; run \`git switch --detach $TAG\`"

tag
touch "src/new ü.rs"
new="the work tree has changes that are not committed, in src/new ü.rs"
refuses "$new"
# Variables name another repository.
GIT_DIR=$work/other/.git GIT_WORK_TREE=$work/other refuses "$new"
GIT_INDEX_FILE=none refuses "$new"
rm "src/new ü.rs"
sed -i "s/fn /\nfn /" src/main.rs
for hide in assume-unchanged skip-worktree; do
    git update-index "--$hide" src/main.rs
    refuses "src/main.rs differs from the commit, but git lists no change"
    git update-index "--no-$hide" src/main.rs
done

sed -i "s/^## $VERSION - .*/## $VERSION - unreleased/" CHANGELOG.md
refuses "the work tree has changes that are not committed, in CHANGELOG.md and 1 more" \
    "CHANGELOG.md has no date for $VERSION (\`## $VERSION - 2030-12-31\`)"

git checkout --quiet src/main.rs
sed -i "s/^## $VERSION /## 77.0.0 /" CHANGELOG.md
commit
tag
missing="CHANGELOG.md has no section about $VERSION"
refuses "$missing"
GIT_TEST_ASSUME_DIFFERENT_OWNER=1 refuses "git refuses: detected dubious ownership in repository at " "$missing"

rm -r .git
refuses "not a git repository" "$missing"

#### rebuilds of a release: the page's check takes equal sums that each name has signed, and no others
command -v ssh-keygen > /dev/null || skip "ssh-keygen is not installed"
cd "$work"
export HOME=$work/home
mkdir -p "$HOME/.ssh" dist/release rebuilds
cp "$ORIGINAL/rebuilds/allowed_signers" rebuilds
(cd "$ORIGINAL" && sha256sum README.md Cargo.toml) > dist/release/SHA256SUMS
for name in alice bob mallory; do ssh-keygen -q -t ed25519 -N "" -C "$name@host" -f "$HOME/.ssh/$name"; done
sign() { block "Add yours" | sed "s/alice/$1/; s|id_ed25519|$1|" | sh -eu; }
check() { block "Check them" | sh 2>&1; }
rejects() { local output; output=$(check) && die "accepted: $output"; has "$output" "$1"; }
# afterwards COMMAND...: runs it on two good rebuilds.
afterwards() {
    rm -rf rebuilds/0.1.0
    sign alice
    sign bob
    "$@"
}
other() { sed "s/^../00/" dist/release/SHA256SUMS; }

rejects "rebuilds/0.1.0"
mkdir rebuilds/0.1.0
rejects "SHA256SUMS"
afterwards true
same "$(check | cut -d ' ' -f -5)" $'Good "file" signature for alice\nGood "file" signature for bob'
same "$(grep -c '^[^#]' rebuilds/allowed_signers)" 2

# A rebuild with another digest, which its maker has signed.
differs() {
    cp dist/release/SHA256SUMS right
    other > wrong
    cp wrong dist/release/SHA256SUMS
    rm -r rebuilds/0.1.0/bob
    sign bob
    cp right dist/release/SHA256SUMS
}
afterwards differs
rejects 'Good "file" signature for bob'
has "$(check)" "> $(head -n 1 right)"
# Signatures of other sums, of another's key, of a key that isn't listed for the name, and none.
changes() { for file in rebuilds/0.1.0/{alice,bob} dist/release; do cp wrong "$file/SHA256SUMS"; done; }
afterwards changes
rejects "Could not verify signature"
lacks "$(check)" "Good"
cp right dist/release/SHA256SUMS
afterwards cp rebuilds/0.1.0/alice/SHA256SUMS.sig rebuilds/0.1.0/bob
rejects "Could not verify signature"
listed=$(< rebuilds/allowed_signers)
afterwards sign mallory
echo "$listed" > rebuilds/allowed_signers
rejects "Could not verify signature"
afterwards rm rebuilds/0.1.0/bob/SHA256SUMS.sig
rejects "Couldn't read signature file"
