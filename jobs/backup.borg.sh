#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Full backups of some days in a real store, that of borg: does it keep once what they have in common, and does each
# day come back as it was?
#
#   jobs/backup.borg.sh FOLDER [SIZE [DAYS]]      # a new folder; 64MiB and 14 days if not given
#
# There is one day at a time beside the store. Any day can be looked at later:
#
#   cd FOLDER && BORG_BASE_DIR=$PWD borg extract store::day3
#   dgen-mpi verify data -s 64MiB --seed 42 --profile daily-backups --generation 3
#
# Status 1: a day has not come back; what came instead stays in FOLDER. 2: not accepted. 3: something failed.
set -euo pipefail

# For large sizes with ranks: mpirun -n 64 dgen-mpi "$@"
run() { dgen-mpi "$@"; }
# Where borg cuts, so that it finds what is the same: at the blocks of the profile.
block=8192

fail() {
    printf 'backup: %s\n' "$2" >&2
    exit "$1"
}
store() { borg "$@" || fail 3 "borg $1 ended with status $?"; }

if [ $# -lt 1 ] || [ $# -gt 3 ]; then fail 2 'give FOLDER [SIZE [DAYS]]'; fi
folder=$1 size=${2:-64MiB} days=${3:-14}
[[ $days =~ ^[1-9][0-9]{0,3}$ ]] || fail 2 "DAYS: '$days' is not accepted; give 1 to 9999"
for tool in dgen-mpi borg; do
    type "$tool" > /dev/null 2>&1 || fail 3 "there is no $tool"
done
spec=(--size "$size" --seed 42 --profile daily-backups)
plan=$(dgen-mpi plan "${spec[@]}" --generation "$((days - 1))")
if [ -e "$folder" ] || [ -L "$folder" ]; then fail 2 "'$folder' is there; give a new folder"; fi
mkdir -- "$folder" || exit 3
cd -P -- "$folder"

# What borg knows of the store stays here too.
export BORG_BASE_DIR=$PWD
store init --encryption none store
for ((day = 0; day < days; day++)); do
    run --output data "${spec[@]}" --generation "$day" --overwrite --quiet
    store create --compression lz4 --files-cache disabled --chunker-params "fixed,$block" "store::day$day" data
done
rm -- data data.dgen.json

for ((day = 0; day < days; day++)); do
    store extract "store::day$day"
    if ! found=$(run verify data "${spec[@]}" --generation "$day"); then
        printf '%s\n' "$found"
        fail 1 "day $day has not come back"
    fi
    printf 'day %s: every byte is right\n' "$day"
done
rm -- data
# What should be kept, and what is, with what borg notes of each block and day.
grep -E '^(expected stored|kept together) ' <<< "$plan" | tail -n 1
store info store
