#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# sdk.sh FOLDER: makes there what compiles Swift for arm64 on x86-64, of packages of Debian unstable: in `amd64` the compiler,
# in `arm64.artifactbundle` a Swift SDK, in `static` the libraries to link. It takes root, debootstrap and 5 GB; swift.sh
# calls the compiler.

set -euo pipefail
[ "$(uname -m)" = x86_64 ] || { echo "what compiles for arm64 runs on x86-64 only" >&2; exit 1; }
folder=$1
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
sdk=$folder/arm64.artifactbundle/arm64
rm -rf "$folder"/{amd64,arm64.artifactbundle,static,archives,ready}

# unpack ARCHITECTURE FOLDER PACKAGES PATTERN...: unpacks them and all that they need, without what a PATTERN matches.
unpack() {
    local archives=$folder/archives package
    echo "fetching Debian's packages for $1; $folder/$1.log tells which"
    debootstrap --arch="$1" --variant=minbase --download-only --include="$3" unstable "$archives" > "$folder/$1.log"
    mkdir -p "$2"
    for package in "$archives"/var/cache/apt/archives/*.deb; do
        dpkg-deb --fsys-tarfile "$package" | tar -C "$2" -x --keep-directory-symlink "${@:4}"
    done
    rm -rf "$archives"
}

unpack amd64 "$folder/amd64" swiftlang,g++,git,pkgconf,libpython3-dev \
    --exclude=./usr/share/doc --exclude='*lldb*' --exclude='*sourcekit*'
# With a Python, in which the extension module is tested.
unpack arm64 "$sdk" swiftlang,g++,libpython3-dev,python3 \
    --exclude=./usr/share --exclude=./usr/bin/'[!p]*' --exclude=./usr/libexec/gcc \
    --exclude=./usr/libexec/swift/{bin,libexec} --exclude=./usr/libexec/swift/lib/'lib*'

echo '{"schemaVersion": "1.0", "artifacts": {"arm64": {"type": "swiftSDK", "version": "1", "variants": [{"path": "arm64"}]}}}' \
    > "$folder/arm64.artifactbundle/info.json"
echo '{"schemaVersion": "4.0", "targetTriples": {"aarch64-unknown-linux-gnu": {
    "sdkRootPath": ".", "swiftResourcesPath": "usr/libexec/swift/lib/swift",
    "swiftStaticResourcesPath": "usr/libexec/swift/lib/swift_static"}}}' > "$sdk/swift-sdk.json"
# Where the compiler looks for it.
ln -s ../libexec/swift/lib/swift_static "$sdk/usr/lib/"
ln -s "$sdk/usr/libexec/swift/lib/swift_static" "$folder/static"
ln -s "$(find "$sdk/usr/lib/gcc" -name libstdc++.a)" "$folder/static/linux/"
touch "$folder/ready"
