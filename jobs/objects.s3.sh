#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Objects of several sizes in a bucket of an S3 store: sent in parts whose checksums are known before, verified by HEAD
# alone, then by reading them. One line for each step, with the rate; what is wrong stays, what is right is removed.
#
#   jobs/objects.s3.sh BUCKET [ENDPOINT [SIZE ...]]    # a bucket that is there; 16MiB and 100MiB if not given
#
# Keys, region and the like come from the environment, as boto3 has them. PYTHON is a Python with dgen-mpi and boto3.
# Several nodes: start it on each, with another DGEN_SEED. An object is `dgen-SEED-SIZE`; one that is there is an error.
#
# Status 1: an object is not what it should be. 2: not accepted. 3: something failed.
set -euo pipefail

python=${PYTHON:-python3} part=${DGEN_PART_SIZE:-8MiB} seed=${DGEN_SEED:-42}
example=$(cd "$(dirname "$0")" && pwd)/../python/examples/object_store.py

fail() {
    printf 'objects: %s\n' "$2" >&2
    exit "$1"
}

[ $# -ge 1 ] || fail 2 'give BUCKET [ENDPOINT [SIZE ...]]'
bucket=$1 endpoint=${2:-}
[[ $seed =~ ^[0-9]+$ ]] || fail 2 "DGEN_SEED: '$seed' is not accepted; give a whole number"
shift $(($# < 2 ? $# : 2))
[ $# -gt 0 ] || set -- 16MiB 100MiB
"$python" -c 'import boto3, dgen_mpi' || fail 3 "$python has no dgen-mpi or no boto3"

for size in "$@"; do
    uri=s3://$bucket/dgen-$seed-$size
    step() {
        "$python" "$example" "$1" "$uri" --size "$size" --seed "$seed" --part-size "$part" --dedup-ratio 2 \
            --compress-ratio 1.5 ${endpoint:+--endpoint-url "$endpoint"} "${@:2}"
    }
    step put --via parts || fail 3 "$uri could not be sent"
    step head || fail 1 "$uri is not what was sent"
    step get || fail 1 "$uri does not come back as it was sent"
    step remove || fail 3 "$uri could not be removed"
done
