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

mkdir -p /run/prov /var/log/prov /var/lib/prov/etcd
stop /run/prov/etcd.pid
address=$PROV_SERVER_ADDRESS
cluster="$PROV_SERVER_NAME=http://$address:$PROV_PARAM_PEER_PORT"
if [[ -n $PROV_PEERS ]]; then
  cluster=
  for peer in $PROV_PEERS; do
    cluster+="${cluster:+,}${peer%%=*}=http://${peer#*=}:$PROV_PARAM_PEER_PORT"
  done
fi
setsid etcd --name "$PROV_SERVER_NAME" --data-dir /var/lib/prov/etcd \
  --listen-client-urls "http://0.0.0.0:$PROV_PARAM_CLIENT_PORT" --advertise-client-urls "http://$address:$PROV_PARAM_CLIENT_PORT" \
  --listen-peer-urls "http://0.0.0.0:$PROV_PARAM_PEER_PORT" --initial-advertise-peer-urls "http://$address:$PROV_PARAM_PEER_PORT" \
  --initial-cluster "$cluster" --initial-cluster-state new --initial-cluster-token "prov-$PROV_INFRA" \
  </dev/null >>/var/log/prov/etcd.log 2>&1 &
echo "$!" >/run/prov/etcd.pid
