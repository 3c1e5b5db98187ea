service_remove podman
rm -f "$PROV_PARAM_SOCKET" /etc/containers/storage.conf
has_systemd || rm -f /etc/containers/containers.conf
