[[ $PROV_PARAM_PORT =~ ^[0-9]+$ ]] || { echo "port must be a number" >&2; exit 2; }
mkdir -p /var/www/prov /etc/nginx/sites-enabled
printf '%s\n' "$PROV_PARAM_GREETING from $PROV_SERVER_NAME" >/var/www/prov/index.html
rm -f /etc/nginx/sites-enabled/default
cat >/etc/nginx/sites-enabled/prov <<SITE
server {
  listen $PROV_PARAM_PORT default_server;
  root /var/www/prov;
}
SITE
nginx -t
if [[ -s /run/nginx.pid ]] && kill -0 "$(</run/nginx.pid)" 2>/dev/null; then
  nginx -s reload
else
  nginx
fi
