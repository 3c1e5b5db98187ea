try http_ok 127.0.0.1 "$PROV_PARAM_PORT" / ||
  { echo "nginx does not answer on port $PROV_PARAM_PORT: $(tail -n 3 /var/log/nginx/error.log)" >&2; exit 1; }
