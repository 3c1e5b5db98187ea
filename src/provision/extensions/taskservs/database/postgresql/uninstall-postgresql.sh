service_remove postgresql
rm -rf /var/lib/prov/postgresql /run/prov/postgresql
