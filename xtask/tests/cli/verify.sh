# Cases of `cargo xtask verify`: whatever an accident or an attacker has done to an image, it is reported as different, or
# the command prints why it can't be compared. The functions in cases.sh come first.

BOTH=(--platform linux/amd64 --platform linux/386)
MISSING="it is missing, or not a regular file"
EXTRA="it is not part of the image"
LARGER=": more than "
OTHER=" instead of sha256:"
LIST='"manifests":\['

# Makes the images that all cases copy: the directory, the archive, and the directory that skopeo copies from a registry.
images() {
    images=$work/../images
    [ ! -e "$images" ] || return 0
    local root blob name new=$work/images
    # The private toolchain is installed once.
    if [ -e "$CARGO_TARGET_DIR/rustup" ] && [ ! -e target/rustup ]; then
        mkdir -p target
        ln -s "$CARGO_TARGET_DIR/rustup" target/rustup
    fi
    rm -rf dist
    "$XTASK" image --air-gap "${BOTH[@]}"
    mkdir "$new" "$new/pulled"
    cp -R dist/pause.oci "$new/layout"
    cp dist/pause.oci.tar "$new/archive"
    cp -R dist/air-gap "$new"
    root=$(grep -o 'sha256:[0-9a-f]*' dist/pause.oci/index.json | cut -c 8-)
    for blob in dist/pause.oci/blobs/sha256/*; do
        name=${blob##*/}
        if [ "$name" = "$root" ]; then
            name=manifest.json
        elif grep -qaF '"layers":[' "$blob"; then
            name=$name.manifest.json
        fi
        cp "$blob" "$new/pulled/$name"
    done
    # The control: without an edit, all that the cases do to an image leaves it equal.
    mkdir "$work/control"
    pushd "$work/control" > /dev/null
    cp "$new/archive" image
    rewrite manifest.json ""
    rewrite index.json ""
    prepend :
    append :
    popd > /dev/null
    equal archive "$work/control/image" pause.oci.tar "${BOTH[@]}"
    equal layout "$new/layout" index "${BOTH[@]}"
    equal pulled "$new/pulled" index "${BOTH[@]}"
    mv "$new" "$images"
}

skopeo() { mkdir -p "$work/bin"; script "$work/bin/skopeo" "$1"; }

# verify KIND IMAGE OPTION...: compares an image. A mock of skopeo copies those that are pulled.
verify() {
    local image=$2
    if [ "$1" = pulled ]; then
        skopeo "cp -R '$2/.' \"\${8#dir:}\" && touch \"\${8#dir:}/version\""
        image=docker://registry.example/pause
    fi
    # Reading a pipe would take forever, and a terabyte long.
    PATH=$work/bin:$PATH timeout 600 "$XTASK" verify "${@:3}" "$image"
}

# different KIND PART COMMANDS: changes a copy of an image by commands that run in its directory. Fails unless the image is
# reported as different, in a few plain lines that have this part.
different() {
    local output lines status=0 blobs
    images
    cp -R "$images/$1" "$work/image"
    case $1 in
        archive) pushd "$work" ;;
        *) pushd "$work/image" ;;
    esac > /dev/null
    blobs=(blobs/sha256/*)
    [ "$1" != pulled ] || blobs=(*[0-9a-f])
    eval "$3"
    popd > /dev/null
    output=$(verify "$1" "$work/image" "${BOTH[@]}") || status=$?
    [ $status = 1 ] && [[ $output == different:* ]] || die "exit status $status: $output"
    lines=$(grep "^  " <<< "$output")
    has "$lines" "$2"
    [ "$(wc -l <<< "$lines")" -le 7 ] || die "too many lines: $lines"
    if LC_ALL=C grep -E '[[:cntrl:]]|.{400}' <<< "$output"; then die "a long line, or control characters"; fi
    lacks "$output" $'\u202e'
}

# equal KIND IMAGE NAME OPTION...
equal() { prints "equal: $3 sha256:" verify "$1" "$2" "${@:4}"; }

# uncopied SECONDS MESSAGE COMMANDS: fails unless an image that skopeo copies with these commands can't be compared.
uncopied() {
    skopeo "$3"
    PATH=$work/bin:$PATH fails 2 "$2" -- \
        "$XTASK" verify --platform "$PLATFORM" --timeout "$1" docker://registry.example/pause
}

# flip FILE: changes a bit.
flip() {
    local byte
    byte=$(od -An -tu1 -N1 "$1")
    # shellcheck disable=SC2059
    printf "\\$(printf %o $((byte ^ 1)))" | dd of="$1" conv=notrunc status=none
}

# Adds a blob to a directory. Prints members of its descriptor.
blob() {
    local digest
    digest=$(printf %s "$1" | sha256sum | cut -c -64)
    printf %s "$1" > "blobs/sha256/$digest"
    echo "\"digest\":\"sha256:$digest\",\"size\":${#1}"
}

# evil [MEMBER]: adds blobs of an image that runs as root. Prints its descriptor.
evil() {
    local config manifest name='"annotations":{"org.opencontainers.image.ref.name":"localhost/pause:0.1.0"}'
    config=$(blob '{"os":"linux","architecture":"amd64","config":{"User":"0:0"}}')
    manifest=$(blob "{\"schemaVersion\":2,\"config\":{$config},\"layers\":[]}")
    echo "{${1:-}$manifest,$name}"
}

# Prints the number of the archive's block at which a file or the end begins, and that of the next one.
blocks() { tar -tRf image | sed -n "\|: $1|,\$s/^block \([0-9]*\):.*/\1/p" | head -n 2; }

# entries FILE...: prints an archive of files without its end, in the form of the image's.
entries() {
    tar -c -b 1 --format=ustar --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=644 "$@" | head -c -1024
}
prepend() { { "$@"; cat image; } > new; mv new image; }
append() { { head -c -1024 image; "$@"; head -c 1024 /dev/zero; } > new; mv new image; }

# patch FILE OFFSET: writes standard input into a file.
patch() { dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }

# rewrite FILE EDIT: edits a file in the archive. The header is the image's with another size and checksum: tar sets fields
# that the image leaves empty.
rewrite() {
    local from to size sum
    { read -r from; read -r to; } < <(blocks "$1")
    tar -xf image "$1"
    sed -i "$2" "$1"
    size=$(stat --format %s "$1")
    tail -c +$((from * 512 + 1)) image | head -c 512 > header
    printf '%011o' "$size" | patch header 124
    printf '%8s' "" | patch header 148
    sum=$(od -An -v -tu1 -w1 header | awk '{ sum += $1 } END { print sum }')
    printf '%07o\0' "$sum" | patch header 148
    truncate --size %512 "$1"
    { head -c $((from * 512)) image; cat header "$1"; tail -c +$((to * 512 + 1)) image; } > new
    mv new image
}

#### verify finds equal images equal
images
equal layout "$images/layout" index "${BOTH[@]}"
equal archive "$images/archive" pause.oci.tar "${BOTH[@]}"
equal pulled "$images/pulled" index "${BOTH[@]}"
for archive in "$images"/air-gap/*; do equal archive "$archive" "air-gap/${archive##*/}" "${BOTH[@]}"; done
# The path may be a link.
ln -s "$images/layout" "$work/layout"
ln -s "$images/archive" "$work/archive"
equal layout "$work/layout" index "${BOTH[@]}"
equal archive "$work/archive" pause.oci.tar "${BOTH[@]}"
# A single platform has no index, and one of several may be pulled without it.
rm -rf dist
"$XTASK" image "${BOTH[@]:0:2}"
equal layout dist/pause.oci "manifest of linux/amd64" "${BOTH[@]:0:2}"
mkdir "$work/one"
cp dist/pause.oci/blobs/sha256/* "$work/one"
mv "$(grep -laF '"layers":[' "$work"/one/*)" "$work/one/manifest.json"
equal pulled "$work/one" "manifest of linux/amd64" "${BOTH[@]:0:2}"
equal pulled "$work/one" "manifest of linux/amd64" "${BOTH[@]}"

#### verify lists the platforms whose manifests differ
images
list="manifests of this source: linux/amd64; other or missing ones: linux/386"
digest=$(grep -aohE '"digest":"[^}]*"architecture":"386"' "$images/pulled/manifest.json" | cut -c 18-81)
different layout "$list" 'flip "blobs/sha256/$digest"'
rm -r "$work/image"
different pulled "$list" 'flip "$digest.manifest.json"'
rm -r "$work/image"
different archive "$list" 'printf " " | dd of=image bs=512 seek=$(($(blocks "blobs/sha256/$digest" | head -n 1) + 1)) \
    conv=notrunc status=none'

#### verify fails if a file can't be read
images
unprivileged
cp -R "$images/layout" "$work/image"
blobs=("$work"/image/blobs/sha256/*)
chmod 000 "${blobs[0]}"
fails 2 "can't read blobs/sha256/${blobs[0]##*/}: " "ermission denied" -- \
    "${user[@]}" "$XTASK" verify "${BOTH[@]:0:2}" "$work/image"

#### verify fails if the image can't be copied
large="the image has more than 4194304 bytes: it is not this source's"
uncopied 60 "skopeo can't copy the image: \\u{1b}[2J\\u{202e}last" \
    "printf 'first\\n\\033[2J\\342\\200\\256last\\n' >&2; exit 1"
uncopied 60 "skopeo can't copy the image: no reason given" "exit 1"
uncopied 60 "$large" 'head --bytes 5000000 /dev/zero > "${8#dir:}/blob"; exec sleep 600'
uncopied 60 "$large" "head --bytes 5000000 /dev/zero >&2; exec sleep 600"
uncopied 1 "skopeo has not copied the image within 1 s" "exec sleep 600"
fails 2 "docker://registry.example is not docker://REGISTRY/NAME" -- "$XTASK" verify docker://registry.example

#### verify finds a difference: an artifact has the name, the index has none
different layout "index.json: " \
    'image=$(evil "\"artifactType\":\"x/y\","); sed -i "s|$LIST|&$image,|" index.json'

#### verify finds a difference: a second list of manifests, capitalised
different layout "index.json: " 'image=$(evil); sed -i "s|$LIST|\"Manifests\":[$image],&|" index.json'

#### verify finds a difference: a second config for Docker, in lower case
different archive "pause.oci.tar: " "rewrite manifest.json 's|\"Config\":|\"config\":\"blobs/sha256/0\",&|'"

#### verify finds a difference: another media type
different layout "index.json: " "sed -i s/image.index/image.manifest/ index.json"

#### verify finds a difference: another platform
different layout "index.json: " \
    "sed -i 's|\"size\"|\"platform\":{\"os\":\"windows\",\"architecture\":\"amd64\"},&|' index.json"

#### verify finds a difference: a name for containerd alone
different layout "index.json: " "sed -i 's|\"org.opencon|\"io.containerd.image.name\":\"nginx\",&|' index.json"

#### verify finds a difference: another name
different layout "index.json: " "sed -i 's|localhost/pause|localhost/nginx|' index.json"

#### verify finds a difference: another name for Docker
different archive "pause.oci.tar: " "rewrite manifest.json 's|localhost/pause|localhost/nginx|'"

#### verify finds a difference: another version of the layout
different layout "oci-layout: sha256:" "sed -i s/1.0.0/1.0.1/ oci-layout"

#### verify finds a difference: another referrer
different layout "$EXTRA" "evil '\"artifactType\":\"x/y\",'"

#### verify finds a difference: a bit of a blob
different layout "$OTHER" 'flip "${blobs[0]}"'

#### verify finds a difference: a byte more
different layout "$LARGER" 'echo >> "${blobs[1]}"'

#### verify finds a difference: a byte less
different layout "$OTHER" 'truncate --size -1 "${blobs[2]}"'

#### verify finds a difference: an empty blob
different layout "$OTHER" 'truncate --size 0 "${blobs[3]}"'

#### verify finds a difference: a terabyte of zeros
different layout "$LARGER" 'truncate --size 1T "${blobs[0]}"'

#### verify finds a difference: a terabyte of zeros at the end
different archive "$LARGER" "truncate --size 1T image"

#### verify finds a difference: a byte at the end
different archive "pause.oci.tar: " "printf '\\0' >> image"

#### verify finds a difference: another archive at the end
different archive "$LARGER" 'cat "$images/archive" >> image'

#### verify finds a difference: half of it
different archive "$OTHER" 'truncate --size $(($(stat --format %s image) / 2)) image'

#### verify finds a difference: an empty file
different archive "$OTHER" "truncate --size 0 image"

#### verify finds a difference: a bit of the index
different pulled "manifest.json: sha256:" "flip manifest.json"

#### verify finds a difference: a bit of a blob in a registry
different pulled "$OTHER" 'flip "${blobs[0]}"'

#### verify finds a difference: a missing blob
different layout "$MISSING" 'rm "${blobs[0]}"'

#### verify finds a difference: a blob twice
different layout "$EXTRA" 'cp "${blobs[0]}" blobs/sha256/0'

#### verify finds a difference: a blob under another name
different layout "$MISSING" 'mv "${blobs[0]}" blobs/sha256/0'

#### verify finds a difference: a blob in the place of another one
different layout "sha256:" 'cp "${blobs[0]}" "${blobs[1]}"'

#### verify finds a difference: an extra empty directory
different layout "$EXTRA" "mkdir blobs/sha512"

#### verify finds a difference: an empty directory
different layout "$MISSING" "rm -r ./*"

#### verify finds a difference: a link to the blob
different layout "$MISSING" 'mv "${blobs[0]}" "$work/aside"; ln -s "$work/aside" "${blobs[0]}"'

#### verify finds a difference: a link to itself
different layout "$MISSING" 'rm "${blobs[0]}"; ln -s "$PWD/${blobs[0]}" "${blobs[0]}"'

#### verify finds a difference: a link to the directory of the blobs
different layout "$MISSING" 'mv blobs "$work/aside"; ln -s "$work/aside" blobs'

#### verify finds a difference: a hard link to another blob
different layout "$OTHER" 'ln -f "${blobs[1]}" "${blobs[0]}"'

#### verify finds a difference: a directory in place of a file
different layout "$MISSING" "rm oci-layout; mkdir oci-layout"

#### verify finds a difference: a pipe without a writer
different layout "$MISSING" 'rm "${blobs[0]}"; mkfifo "${blobs[0]}"'

#### verify finds a difference: an extra pipe
different layout "$EXTRA" "mkfifo pipe"

#### verify finds a difference: an endless device
[ "$(id -u)" = 0 ] || skip "making a device takes root"
different layout "$MISSING" 'rm "${blobs[0]}"; mknod "${blobs[0]}" c 1 5' # /dev/zero

#### verify finds a difference: a socket
command -v perl > /dev/null || skip "perl is not installed"
different layout "$MISSING" \
    "rm oci-layout; perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0) && bind(S, sockaddr_un(\"oci-layout\")) or die'"

#### verify finds a difference: 20,000 extra files
images
begin=$SECONDS
equal layout "$images/layout" index "${BOTH[@]}"
usual=$((SECONDS - begin)) begin=$SECONDS
different layout "and 19995 more" "seq 20000 | xargs touch"
[ $((SECONDS - begin)) -le $((20 * usual + 10)) ] || die "$((SECONDS - begin)) s, not $usual s as usual"

#### verify finds a difference: a name with escape sequences
different layout '\u{1b}[2J\u{1b}]0;x\u{7}\r' "touch $'\\e[2J\\e]0;x\\a\\r'"

#### verify finds a difference: a name that would be another line
different layout 'x\nequal: sha256:1111: it is not' "touch $'x\\nequal: sha256:1111'"

#### verify finds a difference: a name from right to left
different layout '\u{202e}rat' "touch $'\\u202erat'"

#### verify finds a difference: a name that is not UTF-8
different layout $'\ufffd: it is not' "touch $'\\xff'"

#### verify finds a difference: a name of 255 characters
different layout "x…: it is not" 'touch "$(printf "x%.0s" {1..255})"'

#### verify finds a difference: an extra blob in a registry
different pulled "$EXTRA" "touch 0"

#### verify finds a difference: a blob that a registry lacks
different pulled "$MISSING" 'rm "${blobs[0]}"'

#### verify finds a difference: another order
different archive "pause.oci.tar: " 'start=$(($(blocks oci-layout | head -n 1) * 512))
    { tail -c +$((start + 1)) image | head -c 1024; head -c $start image; head -c 1024 /dev/zero; } > new; mv new image'

#### verify finds a difference: a file twice, the good one last
different archive "pause.oci.tar: " "echo {} > index.json; prepend entries index.json"

#### verify finds a difference: a link to a file
different archive "pause.oci.tar: " "ln -s oci-layout x; prepend entries x"

#### verify finds a difference: a hard link to a file
different archive "pause.oci.tar: " \
    'touch oci-layout; ln oci-layout x; entries oci-layout x | tail -c 512 > link; append cat link'

#### verify finds a difference: a PAX header
different archive "pause.oci.tar: " \
    'touch x; tar -c --format=pax --pax-option=path:=index.json x | head -c 1024 > header; prepend cat header'

#### verify finds a difference: a long name as GNU writes it
different archive "pause.oci.tar: " \
    'name=$(printf "x%.0s" {1..120}); touch "$name"; tar -c --format=gnu "$name" | head -c 1024 > header
    prepend cat header'

#### verify finds a difference: compression
different archive "pause.oci.tar: " "gzip -n < image > new; mv new image"
