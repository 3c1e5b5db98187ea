export ETCDCTL_API=3
etcd() { etcdctl --endpoints "http://127.0.0.1:$PROV_PARAM_CLIENT_PORT" --dial-timeout 1s --command-timeout 3s "$@"; }
ask() { etcd put "prov/check/$PROV_SERVER_NAME" works && [[ $(etcd get --print-value-only "prov/check/$PROV_SERVER_NAME") == works ]]; }
try --for 40 ask || { service_log etcd 5 >&2; exit 1; }
