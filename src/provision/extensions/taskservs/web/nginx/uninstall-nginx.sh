service_remove nginx
rm -rf /var/www/prov /etc/nginx/sites-enabled/prov
