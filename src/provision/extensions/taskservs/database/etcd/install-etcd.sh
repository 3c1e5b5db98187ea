# Asks the members that were there before.
etcd() { ETCDCTL_API=3 etcdctl --endpoints "$others" --dial-timeout 1s --command-timeout 5s "$@"; }

# The members as etcd knows them, `NAME=URL` with commas between; one that has never started is known by its address only.
members() {
  local list line id status name url rest peer
  list=$(etcd member list) || return 1
  while IFS=, read -r id status name url rest; do
    url=${url# } name=${name# }
    for peer in $PROV_PEERS; do
      if [[ -z $name && $url == "http://${peer#*=}:$PROV_PARAM_PEER_PORT" ]]; then name=${peer%%=*}; fi
    done
    printf '%s %s %s %s\n' "$id" "${status# }" "${name:-unknown-$id}" "$url"
  done <<<"$list"
}

# Changes the membership; for a while after a change the cluster takes no other.
change() {
  local error
  until error=$(etcd member "$@" 2>&1); do
    ((SECONDS < 60)) || { printf '%s\n' "$error" >&2; return 1; }
    sleep 0.5
  done
}

# Takes the place of a lost member of the same name: the cluster knows that one by an id that its data held.
rejoin() {
  local known id status name url found=
  until known=$(members); do
    if ((SECONDS >= 60)); then
      echo "this member is new, and the others ($PROV_PEERS_SETTLED) don't answer as a cluster: most of them must work before it can join" >&2
      return 1
    fi
    sleep 0.5
  done
  while read -r id status name url; do
    if [[ $name == "$PROV_SERVER_NAME" || $url == "$own_peer" ]]; then
      # One that has never started is waiting for this very member.
      if [[ $status == unstarted && $url == "$own_peer" ]]; then found=yes; else change remove "$id"; fi
    fi
  done <<<"$known"
  [[ -n $found ]] || change add "$PROV_SERVER_NAME" --peer-urls "$own_peer"
  cluster=$(members | while read -r id status name url; do printf '%s=%s,' "$name" "$url"; done)
  cluster=${cluster%,} state=existing
}

data=/var/lib/prov/etcd
mkdir -p "$data"
address=$PROV_SERVER_ADDRESS
own_peer=http://$address:$PROV_PARAM_PEER_PORT
listen_clients=http://$address:$PROV_PARAM_CLIENT_PORT
# Local programs ask there; what listens nowhere else is closed to everybody else.
[[ $address == 127.0.0.1 ]] || listen_clients+=",http://127.0.0.1:$PROV_PARAM_CLIENT_PORT"
flags=(--name "$PROV_SERVER_NAME" --data-dir "$data"
  --listen-client-urls "$listen_clients" --advertise-client-urls "http://$address:$PROV_PARAM_CLIENT_PORT"
  --listen-peer-urls "$own_peer" --initial-advertise-peer-urls "$own_peer")
# A member that runs as it should is left alone: others may need it to join.
if [[ -d $data/member && -s $data/flags && $(<"$data/flags") == "${flags[*]}" ]] && service_pid etcd >/dev/null; then
  exit 0
fi
service_stop etcd
cluster=$PROV_SERVER_NAME=$own_peer
state=new
others=
if [[ -n $PROV_PEERS ]]; then
  cluster=
  for peer in $PROV_PEERS; do
    cluster+="${cluster:+,}${peer%%=*}=http://${peer#*=}:$PROV_PARAM_PEER_PORT"
    [[ ${peer%%=*} == "$PROV_SERVER_NAME" ]] || others+="${others:+,}http://${peer#*=}:$PROV_PARAM_CLIENT_PORT"
  done
fi
if [[ -n $PROV_PEERS_SETTLED && ! -d $data/member ]]; then
  rejoin
fi
service_start etcd etcd "${flags[@]}" --initial-cluster "$cluster" --initial-cluster-state "$state" \
  --initial-cluster-token "prov-$PROV_INFRA-${PROV_CLUSTER:-$PROV_SERVER_NAME}"
printf '%s\n' "${flags[*]}" >"$data/flags"
