mkdir -p /var/lib/prov/tiny-kv
listen=$(listen_on "$PROV_PARAM_LISTEN" ,)
service_start tiny-kv /usr/local/lib/prov/prov internal tiny-kv \
  "${listen//,/:$PROV_PARAM_PORT,}:$PROV_PARAM_PORT" /var/lib/prov/tiny-kv/log
