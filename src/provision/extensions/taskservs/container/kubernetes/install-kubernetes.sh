[[ $PROV_PARAM_API_PORT =~ ^[0-9]+$ ]] || refuse "api_port must be a number"
[[ $PROV_PARAM_POD_CIDR =~ ^[0-9a-f.:]+/[0-9]+$ ]] || refuse "pod_cidr must be ADDRESS/LENGTH"
[[ $PROV_PARAM_TOKEN =~ ^([a-z0-9]{6}\.[a-z0-9]{16})?$ ]] || refuse "token must be six and sixteen letters and digits with a dot between"
[[ $PROV_PARAM_IMAGE_REPOSITORY =~ ^[A-Za-z0-9./:_-]*$ ]] || refuse "image_repository must be HOST/PATH"
[[ $PROV_PARAM_NETWORK_MANIFEST != -* ]] || refuse "network_manifest must be a URL or a path"

missing=
for program in kubeadm kubelet kubectl; do
  command -v "$program" >/dev/null || missing+=" $program"
done
[[ -z $missing ]] || die "there is no$missing here, and the distribution has no package of it: set up a repository of pkgs.k8s.io, or name a mirror of the release by the parameters url_kubeadm, url_kubelet and url_kubectl"

# The first control plane makes the cluster; every other member joins it.
first=
for peer in $PROV_PEERS; do
  if [[ ${peer%%=*} == "$PROV_CLUSTER-control-plane-1" ]]; then first=${peer#*=}; fi
done
[[ $PROV_SERVER_NAME != "$PROV_CLUSTER-control-plane-1" ]] || first=
members=$(wc -w <<<"$PROV_PEERS")
if ((members > 1)); then
  [[ -n $PROV_PARAM_TOKEN ]] || refuse "a cluster of several servers needs the parameter token, by which they join"
  [[ -n $PROV_PARAM_NETWORK_MANIFEST ]] || refuse "a cluster of several servers needs the parameter network_manifest, a network between their pods"
fi

modprobe br_netfilter 2>/dev/null || true
modprobe overlay 2>/dev/null || true
sysctl -q -w net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1 2>/dev/null || true
swapoff -a 2>/dev/null || true

if has_systemd; then
  # As its package would have it: kubeadm writes the files that it reads.
  mkdir -p /etc/systemd/system/kubelet.service.d
  cat >/etc/systemd/system/kubelet.service <<UNIT
# Made by prov.
[Unit]
After=network-online.target containerd.service
Wants=network-online.target
[Service]
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
ExecStart=$(command -v kubelet) \$KUBELET_KUBECONFIG_ARGS \$KUBELET_CONFIG_ARGS \$KUBELET_KUBEADM_ARGS
Restart=always
RestartSec=10
[Install]
WantedBy=multi-user.target
UNIT
  systemctl daemon-reload
  systemctl --quiet enable kubelet.service
else
  die "kubeadm starts the kubelet by systemd, which isn't the first process of this server"
fi

if [[ -z $first && ! -s /etc/kubernetes/admin.conf ]]; then
  flags=(--apiserver-advertise-address "$PROV_SERVER_ADDRESS" --apiserver-bind-port "$PROV_PARAM_API_PORT"
    --pod-network-cidr "$PROV_PARAM_POD_CIDR" --node-name "$PROV_SERVER_NAME")
  [[ -z $PROV_PARAM_IMAGE_REPOSITORY ]] || flags+=(--image-repository "$PROV_PARAM_IMAGE_REPOSITORY")
  flags+=(--kubernetes-version "$(kubeadm version --output short)")
  # What an earlier attempt left would be in the way.
  kubeadm reset --force >/dev/null 2>&1 || true
  kubeadm init "${flags[@]}" --skip-token-print
fi
if [[ -z $first ]]; then
  export KUBECONFIG=/etc/kubernetes/admin.conf
  if ((members > 1)); then
    # By a file: a token has no business on a command line. It is good for a day, and made anew whenever this runs.
    kubectl --namespace kube-system delete secret "bootstrap-token-${PROV_PARAM_TOKEN%.*}" --ignore-not-found >/dev/null
    kubectl apply --filename - >/dev/null <<SECRET
apiVersion: v1
kind: Secret
metadata: { name: "bootstrap-token-${PROV_PARAM_TOKEN%.*}", namespace: kube-system }
type: bootstrap.kubernetes.io/token
stringData:
  token-id: "${PROV_PARAM_TOKEN%.*}"
  token-secret: "${PROV_PARAM_TOKEN#*.}"
  expiration: "$(date -u -d '+1 day' +%Y-%m-%dT%H:%M:%SZ)"
  usage-bootstrap-authentication: "true"
  usage-bootstrap-signing: "true"
  auth-extra-groups: system:bootstrappers:kubeadm:default-node-token
SECRET
  else
    kubectl taint nodes --all node-role.kubernetes.io/control-plane- >/dev/null 2>&1 || true
  fi
  if [[ -n $PROV_PARAM_NETWORK_MANIFEST ]]; then
    kubectl apply --filename "$PROV_PARAM_NETWORK_MANIFEST"
  else
    mkdir -p /etc/cni/net.d
    cat >/etc/cni/net.d/10-prov.conflist <<CNI
{"cniVersion": "1.0.0", "name": "prov", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$(kubectl get node "$PROV_SERVER_NAME" -o jsonpath='{.spec.podCIDR}')"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
CNI
  fi
elif [[ ! -s /etc/kubernetes/kubelet.conf ]]; then
  kubeadm reset --force >/dev/null 2>&1 || true
  umask 077
  cat >/run/prov-join.yaml <<JOIN
apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
nodeRegistration: { name: "$PROV_SERVER_NAME" }
discovery:
  bootstrapToken: { apiServerEndpoint: "$first:$PROV_PARAM_API_PORT", token: "$PROV_PARAM_TOKEN", unsafeSkipCAVerification: true }
JOIN
  trap 'rm -f /run/prov-join.yaml' EXIT
  api() { (exec 3<>"/dev/tcp/$first/$PROV_PARAM_API_PORT"); }
  try --for 600 api || die "the control plane at $first doesn't answer"
  try --for 120 kubeadm join --config /run/prov-join.yaml
fi
