# Ends the process in the pid file, if it runs.
stop() {
  local pid_file=$1 pid
  if [[ -s $pid_file ]] && pid=$(<"$pid_file") && kill "$pid" 2>/dev/null; then
    for _ in {1..100}; do
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.05
    done
    kill -KILL "$pid" 2>/dev/null || true
  fi
  rm -f "$pid_file"
}

mkdir -p /run/prov /var/log/prov
stop /run/prov/buildkitd.pid
# It asks nobody who they are: only the server itself and its network reach it.
addresses=(--addr "tcp://127.0.0.1:$PROV_PARAM_PORT")
[[ $PROV_SERVER_ADDRESS == 127.0.0.1 ]] || addresses+=(--addr "tcp://$PROV_SERVER_ADDRESS:$PROV_PARAM_PORT")
setsid buildkitd "${addresses[@]}" </dev/null >>/var/log/prov/buildkitd.log 2>&1 &
echo "$!" >/run/prov/buildkitd.pid
