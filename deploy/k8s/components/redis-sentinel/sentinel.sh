#!/bin/sh
# Start the sentinel. It writes what it learns into its file, which outlives the pod.
set -eu
. "$CONF/master.sh"

file=$DATA/sentinel.conf
if [ ! -s "$file" ]; then
  master=$(master)
  cat > "$file" <<END
dir /tmp
protected-mode no
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel monitor antiphon $master $PORT 2
sentinel down-after-milliseconds antiphon 5000
sentinel failover-timeout antiphon 15000
sentinel parallel-syncs antiphon 1
END
fi
# These may have changed since.
grep -vE '^(port|sentinel (announce-ip|announce-port|auth-pass)) ' "$file" > "$file.new"
cat >> "$file.new" <<END
port $SENTINEL_PORT
sentinel announce-ip $ME
sentinel announce-port $SENTINEL_PORT
sentinel auth-pass antiphon $REDIS_PASSWORD
END
mv "$file.new" "$file"
exec valkey-server "$file" --sentinel "$@"
