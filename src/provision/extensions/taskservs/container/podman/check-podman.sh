ask() {
  podman --remote --url "unix://$PROV_PARAM_SOCKET" info --format '{{.Store.GraphDriverName}}' | grep -Fx "$PROV_PARAM_STORAGE_DRIVER"
}
try ask || { service_log podman >&2; exit 1; }
