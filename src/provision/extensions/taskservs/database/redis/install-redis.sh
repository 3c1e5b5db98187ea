[[ $PROV_PARAM_PORT =~ ^[0-9]+$ ]] || refuse "port must be a number"
[[ $PROV_PARAM_BIND =~ ^[A-Za-z0-9.:*\ -]*$ ]] || refuse "bind must be addresses with blanks between them"
[[ $PROV_PARAM_PASSWORD =~ ^[[:graph:]]*$ && $PROV_PARAM_PASSWORD != *[\"\'\\]* ]] || refuse "password must hold no blanks, quotes or backslashes"
[[ $PROV_PARAM_PROTECTED_MODE =~ ^(yes|no)$ ]] || refuse "protected_mode must be yes or no"
mkdir -p /var/lib/prov/redis
# In a file of its owner's: a password has no business on a command line.
install -m 600 /dev/stdin /var/lib/prov/redis/redis.conf <<CONFIG
port $PROV_PARAM_PORT
bind $(listen_on "$PROV_PARAM_BIND" ' ')
protected-mode $PROV_PARAM_PROTECTED_MODE
${PROV_PARAM_PASSWORD:+requirepass "$PROV_PARAM_PASSWORD"}
dir /var/lib/prov/redis
appendonly yes
CONFIG
own redis /var/lib/prov/redis
service_start redis-server --user redis redis-server /var/lib/prov/redis/redis.conf
