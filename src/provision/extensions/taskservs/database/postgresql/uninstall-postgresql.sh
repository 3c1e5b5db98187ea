cd /
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
runuser -u postgres -- "$bin/pg_ctl" --pgdata /var/lib/prov/postgresql --silent --mode fast stop 2>/dev/null || true
rm -rf /var/lib/prov/postgresql /run/prov/postgresql /var/log/prov/postgresql.log
