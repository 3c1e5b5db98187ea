# Every member must answer, and exactly one must be the leader.
export ETCDCTL_API=3
etcd() { etcdctl --endpoints "$endpoints" --dial-timeout 1s --command-timeout 5s "$@"; }
endpoints=
count=0
for peer in $PROV_PEERS; do
  endpoints+="${endpoints:+,}http://${peer#*=}:$PROV_PARAM_CLIENT_PORT"
  count=$((count + 1))
done
while ((SECONDS < 45)); do
  if etcd endpoint health >/tmp/prov-etcd-health 2>&1; then
    status=$(etcd endpoint status 2>/dev/null || true)
    leaders=$(printf '%s\n' "$status" | awk -F', ' '$5 == "true"' | wc -l)
    members=$(printf '%s\n' "$status" | wc -l)
    if [[ $leaders == 1 && $members == "$count" ]]; then
      echo "$members members, and one of them leads"
      exit 0
    fi
  fi
  sleep 0.1
done
cat /tmp/prov-etcd-health >&2
echo "the members did not elect a leader" >&2
exit 1
