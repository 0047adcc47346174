#!/bin/sh
# Start the server: as the master if the sentinels say so, else as a replica.
set -eu
. "$CONF/master.sh"

master=$(master)
if [ ! -e "$DATA/appendonlydir" ]; then
  # A master that comes back without its data would empty its replicas. One of them is made the master meanwhile.
  waited=0
  while [ "$master" = "$ME" ] && others_know_replicas; do
    if [ "$waited" -ge 60 ]; then
      echo "this server has no data, others have, and they still take it for the master" >&2
      exit 1
    fi
    waited=$((waited + 1))
    sleep 1
    master=$(master)
  done
fi
[ "$master" = "$ME" ] || set -- --replicaof "$master" "$PORT" "$@"
exec valkey-server "$CONF/server.conf" --dir "$DATA" --port "$PORT" \
  --replica-announce-ip "$ME" --replica-announce-port "$PORT" "$@" - <<END
requirepass "$REDIS_PASSWORD"
masterauth "$REDIS_PASSWORD"
END
