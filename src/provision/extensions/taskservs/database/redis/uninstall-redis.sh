service_remove redis-server
rm -rf /var/lib/prov/redis
