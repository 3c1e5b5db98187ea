service_remove docker-registry
rm -rf /var/lib/prov/docker-registry
