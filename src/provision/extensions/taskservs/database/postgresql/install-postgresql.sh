bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
data=/var/lib/prov/postgresql
mkdir -p /run/prov /var/log/prov "$data"
install -d -o postgres -g postgres /run/prov/postgresql
chown postgres:postgres "$data"
: >>/var/log/prov/postgresql.log
chown postgres:postgres /var/log/prov/postgresql.log
if [[ ! -s $data/PG_VERSION ]]; then
  runuser -u postgres -- "$bin/initdb" --pgdata "$data" --auth-local trust --auth-host scram-sha-256 --no-sync
fi
runuser -u postgres -- "$bin/pg_ctl" --pgdata "$data" --silent --mode fast stop 2>/dev/null || true
runuser -u postgres -- "$bin/pg_ctl" --pgdata "$data" --silent --wait --log /var/log/prov/postgresql.log \
  --options "-p $PROV_PARAM_PORT -k /run/prov/postgresql -c listen_addresses='$PROV_PARAM_LISTEN'" start </dev/null
