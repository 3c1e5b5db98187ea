# Takes back what install-hello.sh did. It may find nothing, or half of it.

rm -f /usr/local/bin/hello
rm -rf /var/lib/hello
