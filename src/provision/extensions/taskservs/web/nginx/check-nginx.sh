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

answers() {
  local answer
  exec 3<>"/dev/tcp/127.0.0.1/$PROV_PARAM_PORT"
  printf 'GET / HTTP/1.0\r\n\r\n' >&3
  answer=$(cat <&3)
  [[ $answer == *" 200 OK"* ]]
}
ask() { (answers); }
try ask || { echo "nginx does not answer on port $PROV_PARAM_PORT: $(tail -n 3 /var/log/nginx/error.log)" >&2; exit 1; }
