[[ $PROV_PARAM_PORT =~ ^[0-9]+$ ]] || refuse "port must be a number"
[[ $PROV_PARAM_MODE =~ ^(http|tcp)$ ]] || refuse "mode must be http or tcp"
[[ $PROV_PARAM_BACKENDS =~ ^[][A-Za-z0-9.:\ -]*$ ]] || refuse "backends must be ADDRESS:PORT with blanks between them"
mkdir -p /run/haproxy
{
  cat <<CONFIG
global
  stats socket /run/haproxy/admin.sock mode 600 level admin
  user haproxy
  group haproxy
defaults
  mode $PROV_PARAM_MODE
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend prov
  bind *:$PROV_PARAM_PORT
  default_backend prov
backend prov
CONFIG
  number=0
  for backend in $PROV_PARAM_BACKENDS; do
    number=$((number + 1))
    printf '  server s%s %s check\n' "$number" "$backend"
  done
} >/etc/haproxy/haproxy.cfg
haproxy -c -q -f /etc/haproxy/haproxy.cfg
# In one process, and in the foreground.
service_start haproxy haproxy -db -f /etc/haproxy/haproxy.cfg
