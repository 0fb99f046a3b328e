#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Puts a Linux kernel of the distribution, for emulated machines, into a folder as `vmlinuz`, unless it is there; it is
# downloaded, not installed. File systems on a virtual NVMe disk need none of its modules.
#
#   kernel.sh FOLDER
set -eu

[ ! -s "$1/vmlinuz" ] || exit 0
mkdir -p "$1"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Debian's and Ubuntu's names of a small one, and of any.
for name in linux-image-cloud-amd64 linux-image-virtual linux-image-amd64; do
    package=$(apt-cache depends "$name" 2> /dev/null |
        sed -n 's/.*Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1)
    [ -z "$package" ] || break
done
(cd "$work" && apt-get download -q "$package" > download.log 2>&1 && dpkg-deb -x ./*.deb kernel) || {
    cat "$work/download.log" >&2
    exit 125
}
# Others may do the same at the same time.
cp "$work"/kernel/boot/vmlinuz-* "$1/vmlinuz.$$"
mv "$1/vmlinuz.$$" "$1/vmlinuz"
