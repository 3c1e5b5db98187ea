[[ $PROV_PARAM_PORT =~ ^[0-9]+$ ]] || refuse "port must be a number"
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
# One that runs takes a new configuration without a break.
if pid=$(service_pid nginx); then
  kill -HUP "$pid"
else
  service_start nginx --signal QUIT nginx -g 'daemon off;'
fi
