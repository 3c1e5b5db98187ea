# Tries a command until it works, for as long as a service may need to come up; well below the time that a check has,
# so that it can still say why it gives up.
try() {
  local error=
  while ((SECONDS < 40)); do
    if error=$("$@" 2>&1); then
      return 0
    fi
    sleep 0.1
  done
  printf '%s\n' "$error" >&2
  return 1
}

export ETCDCTL_API=3
etcd() { etcdctl --endpoints "http://127.0.0.1:$PROV_PARAM_CLIENT_PORT" --dial-timeout 1s --command-timeout 3s "$@"; }
ask() { etcd put "prov/check/$PROV_SERVER_NAME" works && [[ $(etcd get --print-value-only "prov/check/$PROV_SERVER_NAME") == works ]]; }
try ask || { tail -n 5 /var/log/prov/etcd.log >&2; exit 1; }
