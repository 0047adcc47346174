#!/bin/sh
# Start a node of the cluster. It tells the others an address that outlives the pod; what it learns is in nodes.conf.
set -eu
address=$(getent ahosts "$ME" | head -n 1 | cut -d ' ' -f 1)
exec valkey-server "$CONF/server.conf" --dir "$DATA" --port "$PORT" \
  --cluster-enabled yes --cluster-config-file nodes.conf --cluster-announce-ip "$address" \
  --cluster-node-timeout 5000 --cluster-require-full-coverage no "$@" - <<END
requirepass "$REDIS_PASSWORD"
masterauth "$REDIS_PASSWORD"
END
