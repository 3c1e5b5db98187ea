# Tries a command until it works, for as long as a service may need to come up; well below the time that a check has,
# so that it can still say why it gives up.
try() {
  local error=
  while ((SECONDS < 10)); do
    if error=$("$@" 2>&1); then
      return 0
    fi
    sleep 0.1
  done
  printf '%s\n' "$error" >&2
  return 1
}

[[ -z $PROV_PARAM_PASSWORD ]] || export REDISCLI_AUTH=$PROV_PARAM_PASSWORD
host=127.0.0.1
# Where it was told to listen somewhere else only, it is asked there.
[[ -z $PROV_PARAM_BIND || $PROV_PARAM_BIND =~ (^| )(127\.0\.0\.1|0\.0\.0\.0|\*)( |$) ]] || host=${PROV_PARAM_BIND%% *}
ask() { [[ $(redis-cli -h "$host" -p "$PROV_PARAM_PORT" ping) == PONG ]]; }
try ask || { tail -n 3 /var/log/prov/redis.log >&2; exit 1; }
