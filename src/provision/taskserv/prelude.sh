# What every script of a task service has at hand; it stands before the script's own text.

# Says why, and gives up.
die() {
  printf '%s\n' "$*" >&2
  exit 1
}

# Says what is wrong with a parameter, and gives up.
refuse() {
  printf '%s\n' "$*" >&2
  exit 2
}

# Tries a command until it works, for as long as a service may need to come up; well below the time that a check has,
# so that it can still say why it gives up. try [--for SECONDS] COMMAND…
try() {
  local error= seconds=10 until
  if [[ $1 == --for ]]; then
    seconds=$2
    shift 2
  fi
  until=$((SECONDS + seconds))
  while ((SECONDS < until)); do
    if error=$("$@" 2>&1); then
      return 0
    fi
    sleep 0.1
  done
  printf '%s\n' "$error" >&2
  return 1
}

# Whether HTTP answers 200. http_ok HOST PORT PATH
http_ok() (
  exec 3<>"/dev/tcp/$1/$2"
  printf 'GET %s HTTP/1.0\r\nHost: %s\r\n\r\n' "$3" "$1" >&3
  IFS= read -r -t 5 line <&3
  [[ $line == HTTP/1.*" 200 "* ]] || { printf 'http://%s:%s%s answers %s\n' "$1" "$2" "$3" "$line"; exit 1; }
)

# Whether systemd is the first process here.
has_systemd() { [[ -d /run/systemd/system ]]; }

# The id of a service's process, if that runs: a number that the system gave to another one since is nobody's.
service_pid() {
  local pid began
  if has_systemd; then
    pid=$(systemctl show --property MainPID --value "$1.service")
    [[ ${pid:-0} != 0 ]] && printf '%s\n' "$pid"
    return
  fi
  [[ -s /run/prov/$1.pid ]] || return 1
  read -r pid began <"/run/prov/$1.pid"
  [[ $(service_began "$pid") == "$began" ]] && printf '%s\n' "$pid"
}

# When a process began, in ticks since the machine did.
service_began() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  # The name before it may hold anything.
  set -- ${stat##*) }
  printf '%s\n' "${20}"
}

# Whether a process here can become this user: in a server of a user's own there may be no other than root.
can_be() { setpriv --reuid="$1" --regid="$(id -gn "$1")" --init-groups -- true 2>/dev/null; }

# Gives files to a user, where there is one. own USER PATH…
own() {
  ! can_be "$1" || chown -R "$1:$(id -gn "$1")" "${@:2}"
}

# Has a command run as a service, by that name, until it is stopped; what ran by that name before is ended first. Under
# systemd it is a unit, which takes the place of one that a package brought; elsewhere it is a process of its own.
# service_start NAME [--user USER] [--signal SIGNAL] COMMAND…
service_start() {
  local name=$1 user= signal=TERM
  shift
  while [[ $1 == --* ]]; do
    case $1 in
      --user) user=$2 ;;
      --signal) signal=$2 ;;
      *) die "service_start knows no $1" ;;
    esac
    shift 2
  done
  service_stop "$name"
  [[ -n $user ]] && can_be "$user" || user=
  mkdir -p /var/lib/prov/services /var/log/prov /run/prov
  local run=/var/lib/prov/services/$name
  {
    printf 'exec '
    [[ -z $user ]] || printf 'setpriv --reuid=%q --regid=%q --init-groups -- ' "$user" "$(id -gn "$user")"
    printf '%q ' "$@"
    printf '\n'
  } >"$run.part"
  mv "$run.part" "$run"
  printf '%s\n' "$signal" >"$run.signal"
  if has_systemd; then
    cat >"/etc/systemd/system/$name.service" <<UNIT
# Made by prov.
[Unit]
After=network-online.target
Wants=network-online.target
[Service]
ExecStart=/bin/bash $run
KillSignal=SIG$signal
Restart=on-failure
RestartSec=1
LimitNOFILE=1048576
Delegate=yes
StandardOutput=append:/var/log/prov/$name.log
StandardError=append:/var/log/prov/$name.log
[Install]
WantedBy=multi-user.target
UNIT
    systemctl daemon-reload
    systemctl --quiet enable "$name.service"
    systemctl restart "$name.service"
  else
    # Processes that outlive the script must not hold what it writes to.
    setsid bash "$run" </dev/null >>"/var/log/prov/$name.log" 2>&1 &
    printf '%s %s\n' "$!" "$(service_began "$!")" >"/run/prov/$name.pid"
  fi
}

# Ends a service, if it runs.
service_stop() {
  local name=$1 pid signal=TERM
  if has_systemd; then
    systemctl --quiet stop "$name.service" 2>/dev/null || true
    return 0
  fi
  if pid=$(service_pid "$name"); then
    [[ ! -s /var/lib/prov/services/$name.signal ]] || signal=$(<"/var/lib/prov/services/$name.signal")
    kill "-$signal" "$pid" 2>/dev/null || true
    for _ in {1..200}; do
      service_pid "$name" >/dev/null || break
      sleep 0.05
    done
    if pid=$(service_pid "$name"); then kill -KILL "$pid" 2>/dev/null || true; fi
  fi
  rm -f "/run/prov/$name.pid"
}

# Ends a service, and forgets it.
service_remove() {
  local name=$1
  service_stop "$name"
  if has_systemd && grep -qs '^# Made by prov' "/etc/systemd/system/$name.service"; then
    systemctl --quiet disable "$name.service" 2>/dev/null || true
    rm -f "/etc/systemd/system/$name.service"
    systemctl daemon-reload
  fi
  rm -f "/var/lib/prov/services/$name" "/var/lib/prov/services/$name.signal" "/var/log/prov/$name.log"
}

# The end of what a service said.
service_log() { tail -n "${2:-3}" "/var/log/prov/$1.log" 2>/dev/null || true; }

# Where a service listens: what was asked for, else the server's own and the loopback address, with $2 between them.
listen_on() {
  if [[ -n $1 ]]; then
    printf '%s\n' "$1"
  elif [[ $PROV_SERVER_ADDRESS == 127.0.0.1 ]]; then
    printf '127.0.0.1\n'
  else
    printf '127.0.0.1%s%s\n' "$2" "$PROV_SERVER_ADDRESS"
  fi
}

