# Asks the service itself whether it works; another status than 0 fails the task. What it prints is shown then.

greeting=$(hello)
if [[ $greeting != "$PROV_PARAM_GREETING from "* ]]; then
  echo "hello says: $greeting" >&2
  exit 1
fi
