# The control plane is asked whether this node is ready; a worker may ask of itself.
config=/etc/kubernetes/admin.conf
[[ -s $config ]] || config=/etc/kubernetes/kubelet.conf
ask() {
  [[ $(kubectl --kubeconfig "$config" get node "$PROV_SERVER_NAME" \
    -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}') == True ]]
}
try --for 100 ask || { journalctl --unit kubelet --lines 3 --no-pager >&2 2>/dev/null || true; exit 1; }
