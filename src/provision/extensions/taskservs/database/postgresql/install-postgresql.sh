# pg_ctl hands its options to a shell: nothing may stand there that means something to one.
[[ $PROV_PARAM_PORT =~ ^[0-9]+$ ]] || { echo "port must be a number" >&2; exit 2; }
[[ $PROV_PARAM_LISTEN =~ ^[][A-Za-z0-9.:,*_-]*$ ]] || { echo "listen must be addresses with commas between them" >&2; exit 2; }
listen=$PROV_PARAM_LISTEN
if [[ -z $listen ]]; then
  listen=127.0.0.1
  [[ $PROV_SERVER_ADDRESS == 127.0.0.1 ]] || listen+=,$PROV_SERVER_ADDRESS
fi
# The service's user may not look into this user's home.
cd /
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
  --options "-p $PROV_PARAM_PORT -k /run/prov/postgresql -c listen_addresses='$listen'" start </dev/null
