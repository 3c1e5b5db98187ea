buildctl --addr "tcp://127.0.0.1:$PROV_PARAM_PORT" debug workers
