[[ $PROV_PARAM_PORT =~ ^[0-9]+$ ]] || refuse "port must be a number"
# It asks nobody who they are: only the server itself and its network reach it.
addresses=(--addr "tcp://127.0.0.1:$PROV_PARAM_PORT")
[[ $PROV_SERVER_ADDRESS == 127.0.0.1 ]] || addresses+=(--addr "tcp://$PROV_SERVER_ADDRESS:$PROV_PARAM_PORT")
service_start buildkit buildkitd "${addresses[@]}"
