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
redis-server --daemonize yes --port "$PROV_PARAM_PORT" --bind "$PROV_PARAM_BIND" --protected-mode no \
  --dir /var/lib/prov/redis --appendonly yes --pidfile /run/prov/redis.pid --logfile /var/log/prov/redis.log
