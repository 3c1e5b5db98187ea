ask() { buildctl --addr "tcp://127.0.0.1:$PROV_PARAM_PORT" debug workers; }
try ask || { service_log buildkit >&2; exit 1; }
