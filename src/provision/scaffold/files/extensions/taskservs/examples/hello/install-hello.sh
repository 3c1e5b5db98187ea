# Runs inside the server, as its root, by `bash -euo pipefail`. What can be done again without harm is done again: a
# script that was cut short is simply run once more.

mkdir -p /var/lib/hello /usr/local/bin

# A parameter is data: it is written to a file, never pasted into the text of a program.
printf '%s\n' "$PROV_PARAM_GREETING" >/var/lib/hello/greeting

cat >/usr/local/bin/hello <<'END'
#!/bin/sh
printf '%s from %s\n' "$(cat /var/lib/hello/greeting)" "$(hostname)"
END
chmod 755 /usr/local/bin/hello
