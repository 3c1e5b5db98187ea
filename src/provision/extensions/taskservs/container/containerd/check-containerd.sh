# Its API must answer, and what containers are made with must have come up.
ask() {
  local plugins
  plugins=$(ctr --address "$PROV_PARAM_ADDRESS" plugins ls)
  for needed in io.containerd.grpc.v1.*containers io.containerd.runtime.v2.*task io.containerd.content.v1.*content; do
    grep -Eq "^${needed/.\*/ +} .* ok *\$" <<<"$plugins" || { printf 'not there: %s\n%s\n' "$needed" "$plugins"; return 1; }
  done
}
try ask || { service_log containerd >&2; exit 1; }
