host=${PROV_PARAM_LISTEN%%,*}
[[ -n $host && $host != 0.0.0.0 ]] || host=127.0.0.1
answers() {
  local answer
  exec 3<>"/dev/tcp/$host/$PROV_PARAM_PORT"
  printf 'GET / HTTP/1.0\r\n\r\n' >&3
  answer=$(cat <&3)
  [[ $answer == "HTTP/1.1 200 OK"*"$PROV_SERVER_NAME"* ]]
}
ask() { (answers); }
try ask || { echo "no answer on port $PROV_PARAM_PORT; the log says: $(service_log tiny-http)" >&2; exit 1; }
