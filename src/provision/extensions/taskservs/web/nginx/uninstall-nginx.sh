if [[ -s /run/nginx.pid ]]; then
  nginx -s quit || true
fi
rm -rf /var/www/prov /etc/nginx/sites-enabled/prov
