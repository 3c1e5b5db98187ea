if command -v kubeadm >/dev/null; then
  kubeadm reset --force || true
fi
service_remove kubelet
rm -rf /etc/cni/net.d/10-prov.conflist /var/lib/kubelet /etc/kubernetes
