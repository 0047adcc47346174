#!/bin/sh
# Put the weights named into /weights if WEIGHTS says `baked`; leave it empty if it says `mounted`.
set -eu
mkdir -p /weights
case "${WEIGHTS}" in
    mounted) exit 0 ;;
    baked) ;;
    *) echo "WEIGHTS is mounted or baked, not ${WEIGHTS}" >&2; exit 1 ;;
esac
# By way of a folder that builds share: the next one, with other code, does not fetch them again.
ANTIPHON_CACHE_DIR=/var/cache/weights antiphon models pull "$@"
ANTIPHON_CACHE_DIR=/weights antiphon models pull --from /var/cache/weights/weights "$@"
rm -rf /weights/downloads
