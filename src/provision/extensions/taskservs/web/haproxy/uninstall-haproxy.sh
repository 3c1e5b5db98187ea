service_remove haproxy
rm -rf /run/haproxy /etc/haproxy/haproxy.cfg
