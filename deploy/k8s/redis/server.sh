#!/bin/sh
# Start the server. The password comes by the standard input, where no list of processes shows it.
set -eu
exec valkey-server "$CONF/server.conf" --dir "$DATA" "$@" - <<END
requirepass "$REDIS_PASSWORD"
END
