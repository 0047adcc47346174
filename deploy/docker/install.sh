#!/bin/sh
# Install into the environment of an image: what pip would take as arguments.
set -eu
/build/bin/pip --python /opt/antiphon/bin/python install --no-compile "$@"
# Compiled by content, not by date: builders that set all dates alike would have it compiled anew at each start.
/opt/antiphon/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/antiphon/lib > /dev/null
