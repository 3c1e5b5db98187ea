[[ $PROV_PARAM_PORT =~ ^[0-9]+$ ]] || { echo "port must be a number" >&2; exit 2; }
[[ $PROV_PARAM_BIND =~ ^[A-Za-z0-9.:*\ -]*$ ]] || { echo "bind must be addresses with blanks between them" >&2; exit 2; }
[[ $PROV_PARAM_PASSWORD =~ ^[[:graph:]]*$ && $PROV_PARAM_PASSWORD != *[\"\'\\]* ]] || { echo "password must hold no blanks, quotes or backslashes" >&2; exit 2; }
[[ $PROV_PARAM_PROTECTED_MODE =~ ^(yes|no)$ ]] || { echo "protected_mode must be yes or no" >&2; exit 2; }

# Ends the process in the pid file, if it runs.
stop() {
  local pid_file=$1 pid
  if [[ -s $pid_file ]] && pid=$(<"$pid_file") && kill "$pid" 2>/dev/null; then
    for _ in {1..100}; do
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.05
    done
    kill -KILL "$pid" 2>/dev/null || true
  fi
  rm -f "$pid_file"
}

mkdir -p /run/prov /var/log/prov /var/lib/prov/redis
stop /run/prov/redis.pid
bind=$PROV_PARAM_BIND
if [[ -z $bind ]]; then
  bind=127.0.0.1
  [[ $PROV_SERVER_ADDRESS == 127.0.0.1 ]] || bind+=" $PROV_SERVER_ADDRESS"
fi
# By standard input: a password has no business on a command line.
redis-server - <<CONFIG
daemonize yes
port $PROV_PARAM_PORT
bind $bind
protected-mode $PROV_PARAM_PROTECTED_MODE
${PROV_PARAM_PASSWORD:+requirepass "$PROV_PARAM_PASSWORD"}
dir /var/lib/prov/redis
appendonly yes
pidfile /run/prov/redis.pid
logfile /var/log/prov/redis.log
CONFIG
