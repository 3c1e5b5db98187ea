host=${PROV_PARAM_LISTEN%%,*}
[[ -n $host && $host != 0.0.0.0 ]] || host=127.0.0.1
answers() {
  local answer
  exec 3<>"/dev/tcp/$host/$PROV_PARAM_PORT"
  printf 'PING\r\n' >&3
  read -r -t 2 answer <&3
  [[ $answer == "+PONG"* ]]
}
ask() { (answers); }
try ask || { echo "no answer on port $PROV_PARAM_PORT; the log says: $(service_log tiny-kv)" >&2; exit 1; }
