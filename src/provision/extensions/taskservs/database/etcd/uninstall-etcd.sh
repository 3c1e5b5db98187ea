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

stop /run/prov/etcd.pid
rm -rf /var/lib/prov/etcd /var/log/prov/etcd.log /run/prov/etcd.flags
