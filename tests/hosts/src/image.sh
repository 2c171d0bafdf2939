# Makes a small image of one program: image.sh DIRECTORY PLATFORM NAME CONFIG PROGRAM PATH...
# The program is at each PATH. DIRECTORY gets the image as an archive, which Docker loads too, and as an OCI layout.
# With BARE in the environment it is as small as the formats allow, and many readers can't read it: its layer has one
# entry without a type, and none for a directory; `index.json` names another index.
set -eu
mkdir -p "$1/layout/blobs/sha256" "$1/root"
cd "$1"
platform=$(echo "$2//" | sed 's,\([^/]*\)/\([^/]*\)/\([^/]*\).*,"os":"\1"\,"architecture":"\2"\,"variant":"\3",')
platform=${platform%',"variant":""'}
name=$3 config=$4 program=$5
shift 5
for path; do
    mkdir -p "$(dirname "root/$path")"
    cp "$program" "root/$path"
    chmod 0555 "root/$path"
done

add() { # a blob, of this type; prints its descriptor without braces
    cat >blob
    digest=$(sha256sum blob | cut -c -64)
    size=$(stat --format %s blob)
    mv blob layout/blobs/sha256/$digest
    echo '"mediaType":"application/vnd.oci.image.'$1'","digest":"sha256:'$digest'","size":'$size
}
digest() { echo "$1" | grep -o '[0-9a-f]\{64\}'; }

layer=$(tar --owner 0 --group 0 --mtime @0 --format ${BARE+v7}${BARE-ustar} -C root -c "$@" | add layer.v1.tar)
rootfs='{"type":"layers","diff_ids":["sha256:'$(digest "$layer")'"]}'
config=$(echo "{$platform,\"config\":$config,\"rootfs\":$rootfs}" | add config.v1+json)
type='"schemaVersion":2,"mediaType":"application/vnd.oci.image'
top=$(echo "{$type.manifest.v1+json\",\"config\":{$config},\"layers\":[{$layer}]}" | add manifest.v1+json)
top="$top,\"platform\":{$platform}"
if [ "${BARE+yes}" ]; then top=$(echo "{$type.index.v1+json\",\"manifests\":[{$top}]}" | add index.v1+json); fi
top="$top,\"annotations\":{\"org.opencontainers.image.ref.name\":\"$name\"}"

cd layout
echo '{"imageLayoutVersion":"1.0.0"}' >oci-layout
echo "{\"schemaVersion\":2,\"manifests\":[{$top}]}" >index.json
blobs=blobs/sha256
docker="\"Config\":\"$blobs/$(digest "$config")\",\"RepoTags\":[\"$name\"],\"Layers\":[\"$blobs/$(digest "$layer")\"]"
echo "[{$docker}]" >../manifest.json
tar -cf ../image.tar * -C .. manifest.json
