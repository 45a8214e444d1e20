#!/bin/sh
# The floor as lines: what stands first, as it is retained, then each change and each event as it comes.
# More options go to mosquitto_sub: -u and -P for a user, --cafile for TLS.
root="ctid/${CTID_SITE:-main}"
exec mosquitto_sub -h "${MQTT_HOST:-127.0.0.1}" -p "${MQTT_PORT:-1883}" -V 5 -q 1 -F '%t %p' \
  -t "$root/status" -t "$root/agents/+" -t "$root/queues/+" -t "$root/events/+" "$@"
