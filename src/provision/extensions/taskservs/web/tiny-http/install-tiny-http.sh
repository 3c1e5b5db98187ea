listen=$(listen_on "$PROV_PARAM_LISTEN" ,)
service_start tiny-http /usr/local/lib/prov/prov internal tiny-http \
  "${listen//,/:$PROV_PARAM_PORT,}:$PROV_PARAM_PORT" "$PROV_PARAM_GREETING from $PROV_SERVER_NAME"
