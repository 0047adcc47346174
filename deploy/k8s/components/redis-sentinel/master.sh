# Who is the master? Sourced by server.sh and sentinel.sh.
# ME: the name of this pod. PEERS: the names of all, the first of which begins as the master.

ask() { # ask PEER COMMAND...: a sentinel, which has no password
  peer=$1
  shift
  (unset REDISCLI_AUTH && timeout 2 valkey-cli -h "$peer" -p "$SENTINEL_PORT" sentinel "$@" 2> /dev/null) || true
}

master_of_others() {
  for other in $PEERS; do
    [ "$other" = "$ME" ] && continue
    name=$(ask "$other" get-master-addr-by-name antiphon | head -n 1)
    # What a sentinel says in an error is no name.
    case " $PEERS " in *" $name "*)
      echo "$name"
      return
      ;;
    esac
  done
}

master_of_own() {
  [ ! -e "$DATA/sentinel.conf" ] || sed -n 's/^sentinel monitor antiphon \([^ ]*\) .*/\1/p' "$DATA/sentinel.conf"
}

master() {
  name=$(master_of_others)
  [ -n "$name" ] || name=$(master_of_own)
  echo "${name:-${PEERS%% *}}"
}

others_know_replicas() {
  for other in $PEERS; do
    if [ "$other" != "$ME" ] && [ -n "$(ask "$other" replicas antiphon | grep -x name)" ]; then return 0; fi
  done
  return 1
}
