service_remove etcd
rm -rf /var/lib/prov/etcd
