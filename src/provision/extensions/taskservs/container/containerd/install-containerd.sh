[[ $PROV_PARAM_ADDRESS == /* ]] || refuse "address must be the path of a socket"
[[ $PROV_PARAM_SYSTEMD_CGROUP =~ ^(true|false|)$ ]] || refuse "systemd_cgroup must be true, false or empty"
systemd_cgroup=${PROV_PARAM_SYSTEMD_CGROUP:-$(if has_systemd; then echo true; else echo false; fi)}
mkdir -p /run/containerd /etc/containerd
containerd config default |
  sed "s/SystemdCgroup = .*/SystemdCgroup = $systemd_cgroup/" >/etc/containerd/config.toml
service_start containerd containerd --address "$PROV_PARAM_ADDRESS"
