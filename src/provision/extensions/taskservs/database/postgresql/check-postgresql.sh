cd /
query='SELECT 1'
# A replica must be following, not only answering.
if [[ -e /var/lib/prov/postgresql/standby.signal ]]; then
  query="SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming' AND pg_is_in_recovery()"
fi
ask() {
  [[ $(psql --host /run/prov/postgresql --port "$PROV_PARAM_PORT" --username postgres --no-align --tuples-only --command "$query") == 1 ]]
}
try --for 30 ask || { service_log postgresql >&2; exit 1; }
