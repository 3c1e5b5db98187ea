# What is written on the primary must come to be read on every replica.
cd /
export PGPASSWORD=$PROV_PARAM_REPLICATION_PASSWORD PGCONNECT_TIMEOUT=5
ask() { psql --host "$1" --port "$PROV_PARAM_PORT" --username prov_replica --no-password --quiet --no-align --tuples-only --dbname postgres --command "$2"; }
primary= replicas=
for peer in $PROV_PEERS; do
  if [[ ${peer%%=*} == *-primary-1 ]]; then primary=${peer#*=}; else replicas+=" ${peer#*=}"; fi
done
said=$(cat /proc/sys/kernel/random/uuid)
ask "$primary" "INSERT INTO prov_health (said) VALUES ('$said') ON CONFLICT (one) DO UPDATE SET said = EXCLUDED.said"
count=0
for replica in $replicas; do
  until [[ $(ask "$replica" 'SELECT said FROM prov_health') == "$said" ]]; do
    if ((SECONDS >= 45)); then
      echo "the replica at $replica doesn't have what was written on the primary at $primary" >&2
      exit 1
    fi
    sleep 0.1
  done
  count=$((count + 1))
done
echo "what is written on the primary is read on $count of $count replicas"
