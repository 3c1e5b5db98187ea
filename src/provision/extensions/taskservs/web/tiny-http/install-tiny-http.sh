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
stop /run/prov/tiny-http.pid
listen=$PROV_PARAM_LISTEN
if [[ -z $listen ]]; then
  listen=127.0.0.1
  [[ $PROV_SERVER_ADDRESS == 127.0.0.1 ]] || listen+=,$PROV_SERVER_ADDRESS
fi
setsid /usr/local/lib/prov/prov internal tiny-http "${listen//,/:$PROV_PARAM_PORT,}:$PROV_PARAM_PORT" "$PROV_PARAM_GREETING from $PROV_SERVER_NAME" \
  </dev/null >>/var/log/prov/tiny-http.log 2>&1 &
echo "$!" >/run/prov/tiny-http.pid
