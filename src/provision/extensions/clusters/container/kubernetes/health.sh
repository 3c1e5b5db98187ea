# Every member must be a node that is ready.
export KUBECONFIG=/etc/kubernetes/admin.conf
wanted=$(wc -w <<<"$PROV_PEERS")
while ((SECONDS < 280)); do
  nodes=$(kubectl get nodes --no-headers 2>&1 || true)
  ready=$(awk '$2 ~ /^Ready/' <<<"$nodes" | wc -l)
  if ((ready >= wanted)); then
    echo "$ready nodes are ready"
    exit 0
  fi
  sleep 1
done
printf '%s\n' "$nodes" >&2
exit 1
