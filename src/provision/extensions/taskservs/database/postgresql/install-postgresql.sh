[[ $PROV_PARAM_PORT =~ ^[0-9]+$ ]] || refuse "port must be a number"
[[ $PROV_PARAM_LISTEN =~ ^[][A-Za-z0-9.:,*_-]*$ ]] || refuse "listen must be addresses with commas between them"
[[ $PROV_PARAM_REPLICATION_PASSWORD =~ ^[[:graph:]]*$ && $PROV_PARAM_REPLICATION_PASSWORD != *[\"\'\\]* ]] ||
  refuse "replication_password must hold no blanks, quotes or backslashes"

# The cluster's first primary is its only one; every other member follows it.
primary= replicas=
for peer in $PROV_PEERS; do
  if [[ ${peer%%=*} == "$PROV_CLUSTER-primary-1" ]]; then primary=${peer#*=}; else replicas+=" ${peer#*=}"; fi
done
[[ $PROV_SERVER_NAME != "$PROV_CLUSTER-primary-1" ]] || primary=

# The service's user may not look into this user's home.
cd /
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
data=/var/lib/prov/postgresql sockets=/run/prov/postgresql
as_postgres() { if can_be postgres; then runuser -u postgres -- "$@"; else "$@"; fi; }
ask() { psql --host "$sockets" --port "$PROV_PARAM_PORT" --username postgres --quiet --no-align --tuples-only "$@"; }

mkdir -p "$data" "$sockets"
chmod 700 "$data"
own postgres "$data" "$sockets"
# The cluster that the package made is another one: it must not take the port.
if has_systemd; then
  sed -i 's/^auto$/manual/' /etc/postgresql/*/main/start.conf 2>/dev/null || true
  systemctl --quiet stop 'postgresql@*.service' || true
fi

copy() {
  # What an earlier attempt began is no database.
  find "$data" -mindepth 1 -delete
  PGPASSWORD=$PROV_PARAM_REPLICATION_PASSWORD as_postgres "$bin/pg_basebackup" --host "$primary" --port "$PROV_PARAM_PORT" \
    --username prov_replica --no-password --pgdata "$data" --write-recovery-conf --wal-method stream --checkpoint fast
}
if [[ ! -s $data/PG_VERSION || ! -e $data/prov-whole ]]; then
  if [[ -n $primary ]]; then
    try --for 120 copy || die "the primary at $primary gives no copy of its data"
  else
    [[ -z $PROV_PEERS_SETTLED ]] ||
      die "the primary's data is gone, and $PROV_PEERS_SETTLED still has a copy: an empty primary would not be followed by it. Save the copy, or delete the cluster and make it anew"
    find "$data" -mindepth 1 -delete
    as_postgres "$bin/initdb" --pgdata "$data" --username postgres --auth-local trust --auth-host scram-sha-256 --no-sync >/dev/null
  fi
  # What is cut short is begun again.
  touch "$data/prov-whole"
fi

# Who may follow, and ask whether following works: the replicas by their addresses, in a part of the file that is prov's own.
hba=$data/pg_hba.conf
sed -i '/^# prov: begin$/,/^# prov: end$/d' "$hba"
if [[ -n $replicas ]]; then
  method=trust
  [[ -z $PROV_PARAM_REPLICATION_PASSWORD ]] || method=scram-sha-256
  {
    printf '# prov: begin\n'
    for replica in $replicas; do
      printf 'host replication,postgres prov_replica %s/32 %s\n' "$replica" "$method"
    done
    printf '# prov: end\n'
  } >>"$hba"
fi

service_start postgresql --user postgres --signal INT "$bin/postgres" -D "$data" -p "$PROV_PARAM_PORT" -k "$sockets" \
  -c "listen_addresses=$(listen_on "$PROV_PARAM_LISTEN" ,)" -c wal_level=replica -c wal_keep_size=512MB -c hot_standby=on
if [[ -n $replicas && -z $primary ]]; then
  try ask --command 'SELECT 1'
  password=NULL
  [[ -z $PROV_PARAM_REPLICATION_PASSWORD ]] || password="'$PROV_PARAM_REPLICATION_PASSWORD'"
  # By standard input: a password has no business on a command line.
  ask --set ON_ERROR_STOP=1 <<SQL
SELECT 'CREATE ROLE prov_replica' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'prov_replica') \gexec
ALTER ROLE prov_replica LOGIN REPLICATION PASSWORD $password;
CREATE TABLE IF NOT EXISTS prov_health (one boolean PRIMARY KEY DEFAULT true CHECK (one), said text NOT NULL);
GRANT SELECT, INSERT, UPDATE ON prov_health TO prov_replica;
SQL
fi
