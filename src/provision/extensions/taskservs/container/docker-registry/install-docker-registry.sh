[[ $PROV_PARAM_PORT =~ ^[0-9]+$ ]] || refuse "port must be a number"
[[ $PROV_PARAM_LISTEN =~ ^[][A-Za-z0-9.:-]*$ ]] || refuse "listen must be an address"
[[ $PROV_PARAM_DELETE =~ ^(true|false)$ ]] || refuse "delete must be true or false"
mkdir -p /etc/docker/registry /var/lib/prov/docker-registry
cat >/etc/docker/registry/config.yml <<CONFIG
version: 0.1
log:
  level: info
storage:
  filesystem:
    rootdirectory: /var/lib/prov/docker-registry
  delete:
    enabled: $PROV_PARAM_DELETE
http:
  addr: "${PROV_PARAM_LISTEN:-$PROV_SERVER_ADDRESS}:$PROV_PARAM_PORT"
CONFIG
own docker-registry /var/lib/prov/docker-registry
service_start docker-registry --user docker-registry docker-registry serve /etc/docker/registry/config.yml
