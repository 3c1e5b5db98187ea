service_remove tiny-kv
rm -rf /var/lib/prov/tiny-kv
