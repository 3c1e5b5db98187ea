host=${PROV_PARAM_LISTEN:-$PROV_SERVER_ADDRESS}
[[ $host != 0.0.0.0 ]] || host=127.0.0.1
try http_ok "$host" "$PROV_PARAM_PORT" /v2/ || { service_log docker-registry >&2; exit 1; }
