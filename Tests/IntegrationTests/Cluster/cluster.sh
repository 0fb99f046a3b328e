#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Several nodes on one machine, for tests and for trying things out: each has an address, a host name and mounts of
# its own, and all of them mount one GlusterFS volume, whose bricks lie on all of them.
#
#   cluster.sh start FOLDER [NODES [MODE]] start (3 nodes, if not said); the volume is at FOLDER/volume on each. Modes that
#                                          real file systems have, and that are not to be trusted: shards (a file is cut
#                                          to pieces on all nodes, and its length miscounted while several write it),
#                                          caches (nodes go on with what they knew of a file that others have changed)
#   cluster.sh mpirun FOLDER ARGUMENTS...  mpirun, two ranks a node, from the first node or from $FROM; MPICH's, where
#                                          MPI=mpich is set
#   cluster.sh node FOLDER NODE COMMAND... run a command on a node, 1 and up
#   cluster.sh unplug FOLDER NODE          take a node off the network; plug puts it back
#   cluster.sh stop FOLDER                 stop all of it, and take the folder away
#
# Needs root, and Debian's iproute2, util-linux, glusterfs-server and openmpi-bin. One cluster runs at a time.
set -euo pipefail

subnet=10.111.7
bridge=dgen-switch

host() { echo "node$1"; }
count() { cat "$folder/nodes"; }

# inside NODE COMMAND...: runs a command in the namespaces of a node.
inside() {
    local node=$1
    shift
    nsenter --target "$(cat "$folder/$node/pid")" --net --uts --mount -- "$@"
}

# again COMMAND...: until it succeeds, for ten seconds; then once more, to be heard.
again() {
    local deadline=$((SECONDS + 30))
    while ((SECONDS < deadline)); do
        "$@" > /dev/null 2>&1 && return
        sleep 0.2
    done
    "$@" >&2
}

# What a node is: a process that holds its namespaces, with the volume's daemon beside it. Files that the daemon writes
# lie in the node's own folder; names of the nodes are known on all of them.
node_main() {
    local node=$1
    hostname "$(host "$node")"
    mount --make-rprivate /
    mount --bind "$folder/hosts" /etc/hosts
    mount -t tmpfs tmpfs /run
    mkdir -p /run/gluster "$folder/$node/state" "$folder/$node/log"
    mount --bind "$folder/$node/state" /var/lib/glusterd
    mount --bind "$folder/$node/log" /var/log/glusterfs
    glusterd --pid-file "$folder/$node/glusterd.pid"
    echo $$ > "$folder/$node/pid"
    exec sleep infinity
}

setting() { inside 1 gluster --mode=script volume set shared "$1" "$2" > /dev/null; }

# Daemons would keep what this script was started with: pipes and sockets of whoever waits for its end.
close_inherited() {
    local path number
    for path in "/proc/$$/fd"/*; do
        number=${path##*/}
        # Bash reads this script from 255.
        ((number < 3 || number == 255)) || eval "exec $number>&-"
    done
}

start() {
    local nodes=${1:-3} mode=${2:-} node bricks=()
    case $mode in '' | shards | caches) ;; *) "$0" help ;; esac
    close_inherited
    mkdir -p "$folder/volume"
    echo "$nodes" > "$folder/nodes"
    echo "127.0.0.1 localhost" > "$folder/hosts"
    for node in $(seq "$nodes"); do echo "$subnet.$node $(host "$node")" >> "$folder/hosts"; done
    ip link add "$bridge" type bridge
    ip link set "$bridge" up
    for node in $(seq "$nodes"); do
        mkdir -p "$folder/$node/brick"
        ip netns add "dgen-$node"
        ip link add "dgen-port$node" type veth peer name eth0 netns "dgen-$node"
        ip link set "dgen-port$node" master "$bridge" up
        ip -n "dgen-$node" address add "$subnet.$node/24" dev eth0
        ip -n "dgen-$node" link set eth0 up
        ip -n "dgen-$node" link set lo up
        ip netns exec "dgen-$node" setsid unshare --uts --mount "$0" node-main "$folder" "$node" \
            > "$folder/$node/output" 2>&1 < /dev/null &
        bricks+=("$(host "$node"):$folder/$node/brick")
    done
    for node in $(seq "$nodes"); do
        again test -s "$folder/$node/pid"
        ((node == 1)) || again inside 1 gluster --mode=script peer probe "$(host "$node")"
    done
    again inside 1 gluster --mode=script volume create shared "${bricks[@]}" force
    # How long a node may be silent before the others go on without it; 42 seconds, if not said.
    setting network.ping-timeout 5
    setting server.tcp-user-timeout 5
    # With caches of their own, nodes disagree for a while on the length of a file that others extend.
    local cache
    for cache in write-behind stat-prefetch quick-read read-ahead io-cache open-behind; do
        [ "$mode" = caches ] || setting "performance.$cache" off
    done
    if [ "$mode" = shards ]; then
        setting features.shard on
        setting features.shard-block-size 4MB
    fi
    inside 1 gluster --mode=script volume start shared > /dev/null
    local options=attribute-timeout=0,entry-timeout=0
    [ "$mode" != caches ] || options=
    for node in $(seq "$nodes"); do
        again inside "$node" mount -t glusterfs ${options:+-o "$options"} \
            "$(host 1):/shared" "$folder/volume"
    done
}

# start_remote HOST COMMAND...: what mpirun calls where it would call ssh.
start_remote() {
    local name=$1
    shift
    inside "${name#node}" sh -c "$*"
}

run() {
    local hosts node agent=$folder/start-remote
    hosts=$(for node in $(seq "$(count)"); do printf '%s:2,' "$(host "$node")"; done)
    if [ "${MPI:-}" = mpich ]; then
        # One word, as rsh would be called.
        printf '#!/bin/sh\nexec "%s" start-remote "%s" "$@"\n' "$(realpath "$0")" "$folder" > "$agent"
        chmod +x "$agent"
        inside "${FROM:-1}" mpirun.mpich -launcher rsh -launcher-exec "$agent" \
            -hosts "${hosts%,}" -iface eth0 "$@"
        return
    fi
    # mpirun itself notices a node that has gone, in seconds instead of minutes.
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    inside "${FROM:-1}" mpirun --oversubscribe --host "${hosts%,}" \
        --mca plm_rsh_agent "$(realpath "$0") start-remote $folder" \
        --mca btl self,vader,tcp --mca btl_tcp_if_include "$subnet.0/24" \
        --mca oob_tcp_if_include "$subnet.0/24" --mca oob_tcp_keepalive_time 5 \
        --mca oob_tcp_keepalive_intvl 2 --mca oob_tcp_keepalive_probes 3 "$@"
}

stop() {
    local node pid
    [ -e "$folder/nodes" ] || return 0
    for node in $(seq "$(count)"); do
        inside "$node" umount --lazy "$folder/volume" 2> /dev/null || true
        for pid in $(ip netns pids "dgen-$node" 2> /dev/null); do
            kill -KILL "$pid" 2> /dev/null || true
        done
        ip netns delete "dgen-$node" 2> /dev/null || true
        ip link delete "dgen-port$node" 2> /dev/null || true
    done
    ip link delete "$bridge" 2> /dev/null || true
    rm -rf --one-file-system "$folder"
}

what=${1:-help}
if [ "$what" = help ] || (($# < 2)); then
    sed -n '/^#   /s/^# //p' "$0"
    exit 2
fi
# A path, since commands run elsewhere.
folder=$(realpath -m "$2")
shift 2
case $what in
start) start "$@" ;;
mpirun) run "$@" ;;
node) inside "$@" ;;
unplug) ip link set "dgen-port$1" down ;;
plug) ip link set "dgen-port$1" up ;;
stop) stop ;;
node-main) node_main "$@" ;;
start-remote) start_remote "$@" ;;
*) "$0" help ;;
esac
