#!/bin/sh
# Have a recording transcribed through the queue, with redis-cli alone.
#
#   REDIS_CLI='redis-cli -h 127.0.0.1' sh producer.sh memo.wav
#   REDIS_CLI="redis-cli -s $HOME/.local/state/antiphon/server/server.sock" sh producer.sh memo.wav
set -eu
file=${1:?name a recording of up to 1 MiB}
cli=${REDIS_CLI:-redis-cli}
lane='{transcribe}'
id=memo-$(date +%s)-$$
name=shell-$$

# The job. What is on standard input becomes the last argument, however long it is.
printf '{"audio":{"uri":"data:audio/wav;base64,%s"},"model":"whisper-1"}' "$(base64 < "$file" | tr -d '\n')" |
    $cli -x XADD "jobs:$lane:std" '*' id "$id" reply "$name" data

# The reply: whoever waits is told at once.
reply=$($cli XREAD BLOCK 60000 STREAMS "replies:$lane:$name" 0)
test -n "$reply" || { echo "nobody has answered for a minute" >&2; exit 1; }

# The outcome is kept for a day: read it as often as you like.
$cli GET "result:$lane:$id"

# The same outcome for the consumers of a group: one of them is given it until it is acknowledged.
$cli XGROUP CREATE "replies:$lane:$name" books 0
entry=$($cli XREADGROUP GROUP books "$name" COUNT 1 STREAMS "replies:$lane:$name" '>' | sed -n 2p)
$cli XACK "replies:$lane:$name" books "$entry"
$cli EXPIRE "replies:$lane:$name" 604800

# The lane: `lag` is what nobody has taken yet, `pending` is being worked on.
$cli XINFO GROUPS "jobs:$lane:std"

# Jobs that were given up, the oldest first.
$cli XRANGE "jobs:$lane:dead" - + COUNT 10
