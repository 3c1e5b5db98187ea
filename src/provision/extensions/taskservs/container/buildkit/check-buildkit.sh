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

ask() { buildctl --addr "tcp://127.0.0.1:$PROV_PARAM_PORT" debug workers; }
try ask || { tail -n 3 /var/log/prov/buildkitd.log >&2; exit 1; }
