# Tries a command until it works, for as long as a service may need to come up; well below the time that a check has,
# so that it can still say why it gives up.
try() {
  local error=
  while ((SECONDS < 10)); do
    if error=$("$@" 2>&1); then
      return 0
    fi
    sleep 0.1
  done
  printf '%s\n' "$error" >&2
  return 1
}

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
try ask || { echo "no answer on port $PROV_PARAM_PORT; the log says: $(tail -n 3 /var/log/prov/tiny-http.log)" >&2; exit 1; }
