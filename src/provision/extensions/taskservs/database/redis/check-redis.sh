[[ -z $PROV_PARAM_PASSWORD ]] || export REDISCLI_AUTH=$PROV_PARAM_PASSWORD
host=127.0.0.1
# Where it was told to listen somewhere else only, it is asked there.
[[ -z $PROV_PARAM_BIND || $PROV_PARAM_BIND =~ (^| )(127\.0\.0\.1|0\.0\.0\.0|\*)( |$) ]] || host=${PROV_PARAM_BIND%% *}
ask() { [[ $(redis-cli -h "$host" -p "$PROV_PARAM_PORT" ping) == PONG ]]; }
try ask || { service_log redis-server >&2; exit 1; }
