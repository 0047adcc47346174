#!/bin/sh
# Make one cluster of all nodes, the first half of them masters. Does nothing when there is one.
set -eu
nodes=
for peer in $PEERS; do
  until [ "$(valkey-cli -h "$peer" -p "$PORT" ping 2> /dev/null)" = PONG ]; do sleep 1; done
  nodes="$nodes $(getent ahosts "$peer" | head -n 1 | cut -d ' ' -f 1):$PORT"
  if valkey-cli -h "$peer" -p "$PORT" cluster info | tr -d '\r' | grep -qE '^cluster_slots_assigned:[1-9]'; then
    echo "$peer belongs to a cluster already"
    exit 0
  fi
done
# Words on purpose: one for each node.
# shellcheck disable=SC2086
valkey-cli --cluster create $nodes --cluster-replicas 1 --cluster-yes
