[[ $PROV_PARAM_SOCKET == /* ]] || refuse "socket must be a path"
[[ $PROV_PARAM_STORAGE_DRIVER =~ ^(overlay|vfs|btrfs|zfs)$ ]] || refuse "storage_driver must be overlay, vfs, btrfs or zfs"
mkdir -p /etc/containers "${PROV_PARAM_SOCKET%/*}"
cat >/etc/containers/storage.conf <<CONFIG
[storage]
driver = "$PROV_PARAM_STORAGE_DRIVER"
runroot = "/run/containers/storage"
graphroot = "/var/lib/containers/storage"
CONFIG
# Without systemd nobody else makes control groups, and there is no journal.
if ! has_systemd; then
  cat >/etc/containers/containers.conf <<CONFIG
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
CONFIG
fi
rm -f "$PROV_PARAM_SOCKET"
service_start podman podman system service --time 0 "unix://$PROV_PARAM_SOCKET"
